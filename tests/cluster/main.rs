//! Tests against a real control plane: kube-apiserver, etcd, kube-controller-manager and kube-scheduler, with KWOK as the kubelets.
//!
//! One control plane serves all tests; it starts with the first test that needs it. Where it can neither be found
//! (`KUBEBUILDER_ASSETS`) nor built (Go), the tests are ignored and say why; with `CI=true` they fail.
//!
//! To look at what a failed run left behind, set `OUTRIGGER_KEEP_CLUSTER_FOLDER`: logs and data stay in `target/tmp/cluster-*`.

mod applying;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod beside;
mod binaries;
mod budgets;
mod cainjector;
mod certificates;
mod changing;
mod chaos;
mod chart;
mod control_plane;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod counting;
mod definitions;
mod drains;
mod estate;
mod events;
mod evictions;
mod forwarder;
mod guarding;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod history;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod hot_upgrade;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod injection;
mod installing;
mod jobs;
mod keys;
mod kustomizing;
mod leaders;
mod lease;
mod leftovers;
mod loopback;
mod nodes;
mod order;
mod outrigger;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod placing;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod protection;
mod recovery;
mod reviews;
mod rights;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod rollout;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod sets;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod shadow;
mod simulated;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod spreads;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod status;
mod supervisor;
mod support;
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking, and JSON is awkward otherwise")]
mod takeover;
mod tools;
mod traffic;
mod watching;
mod webhooks;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::estate::Estate;
use crate::support::Cluster;

const LIMIT: Duration = Duration::from_mins(3);
/// For those that start a cluster of their own and wait for what takes its time in any cluster.
const ESTATE_LIMIT: Duration = Duration::from_mins(8);

fn main() -> Result<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|role| role.to_str()) {
        Some(supervisor::ROLE) => supervisor::supervise(args.next().as_deref())?,
        Some(leftovers::TESTS_ROLE) => leftovers::be_tests(args)?,
        Some(leftovers::SERVER_ROLE) => leftovers::be_server(args)?,
        _ => return run_tests(),
    }
    Ok(ExitCode::SUCCESS)
}

fn run_tests() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // They wait for the cluster rather than compute.
    arguments.test_threads.get_or_insert(8);
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok().context("a second TLS provider")?;
    let house = Arc::new(House { runtime: Runtime::new()?, cluster: OnceLock::new(), estates: Semaphore::new(1) });
    let conclusion = libtest_mimic::run(&arguments, trials(&house));
    let refused = house.nobody_was_refused();
    // The last owner: the control plane ends here, and is gone when `drop` returns.
    drop(house);
    refused.map(|()| conclusion.exit_code())
}

/// How a test runs, its module, its name.
macro_rules! trials {
    ($house:ident: $($how:ident $($part:ident)::+,)*) => {
        vec![$($how($house, &stringify!($($part)::+).replace(char::is_whitespace, ""), $($part)::+),)*]
    };
}

fn trials(house: &Arc<House>) -> Vec<Trial> {
    let beside = [
        // The longest first.
        about_spreads(house),
        about_the_cluster(house),
        about_sets_and_leases(house),
        about_protection(house),
        about_rollouts(house),
        about_budgets(house),
        on_estates(house),
    ];
    // Those that run alone come last: the others would wait for them.
    beside.into_iter().chain([that_disturb_others(house)]).flatten().collect()
}

fn about_the_cluster(house: &Arc<House>) -> Vec<Trial> {
    trials![house:
        plain leftovers::nothing_is_left_when_the_tests_are_killed,
        plain leftovers::nothing_is_left_when_the_tests_end,
        plain rights::a_refused_request_is_found_in_the_audit_log,
        beside_others simulated::a_deployment_comes_up_on_simulated_nodes,
        beside_others simulated::pods_can_be_spread_over_three_zones,
        beside_others simulated::a_stateful_set_comes_up_with_its_volumes,
        beside_others simulated::pods_carry_the_volume_of_a_service_account_token,
        beside_others simulated::an_image_changed_in_place_restarts_its_container,
        beside_others simulated::a_quick_kubelet_restarts_a_container_and_nobody_sees_it_down,
        beside_others simulated::a_wait_in_vain_says_what_it_saw,
        beside_others simulated::a_custom_resource_can_follow_its_definition,
        beside_others loopback::a_webhook_on_loopback_is_called_for_its_sandbox_only,
        beside_others loopback::a_server_that_cannot_start_is_reported_with_its_log,
        beside_others injection::our_definition_is_accepted_and_established,
        beside_others injection::a_deployment_of_twenty_comes_up_with_its_sidecars,
        beside_others injection::a_native_sidecar_lands_in_init_containers,
        beside_others injection::a_set_made_later_injects_only_new_pods,
        beside_others injection::a_dry_run_shows_the_pod_that_would_be_made,
        beside_others injection::a_pod_in_an_excluded_namespace_is_left_alone,
        beside_others shadow::a_shadow_beside_another_server_agrees_tells_where_not_and_writes_nothing,
    ]
}

fn on_estates(house: &Arc<House>) -> Vec<Trial> {
    trials![house:
        on_an_estate installing::one_apply_is_all_it_takes,
        on_an_estate beside::the_manager_keeps_its_other_features_and_gets_all_of_them_back,
        on_an_estate installing::a_certificate_of_ones_own_will_do,
        on_an_estate chaos::all_replicas_killed_hold_up_nothing_but_what_is_guarded,
        on_an_estate chaos::servers_that_hang_hold_up_nothing_but_what_is_guarded,
        on_an_estate chaos::one_replica_that_hangs_is_replaced,
        on_an_estate chaos::a_network_that_is_gone_holds_up_nothing_but_what_is_guarded,
        on_an_estate chaos::all_starts_at_once_with_strict_configurations,
        on_an_estate chaos::a_rolling_restart_under_load_fails_no_review,
        on_an_estate chaos::an_expired_certificate_holds_up_nothing_but_what_is_guarded,
        on_an_estate certificates::three_replicas_share_one_ca_and_exchange_it_under_load_without_one_failed_request,
        on_an_estate certificates::what_is_applied_again_is_mended_at_once_and_who_edits_selectors_is_let_be,
        on_an_estate certificates::trouble::a_broken_secret_stops_nobody_who_runs_and_whoever_starts_says_why_it_waits,
        on_an_estate certificates::trouble::a_secret_that_is_deleted_is_put_back_and_all_go_on,
        on_an_estate certificates::trouble::a_hook_that_a_new_version_drops_is_removed_client_side_or_by_hand,
        beside_the_injector certificates::cert_manager::the_real_injector_writes_our_bundles_and_we_follow_a_new_certificate,
        on_an_estate kustomizing::every_component_can_be_applied_alone_and_all_together,
        on_an_estate kustomizing::kubectl_installs_and_uninstalls_as_the_documentation_says,
        on_an_estate chart::helm_installs_upgrades_and_uninstalls,
        beside_others chart::the_chart_is_the_kustomization_with_values,
        beside_others chart::what_watches_us_can_come_with_the_chart,
        beside_others chart::a_wrong_value_is_refused_by_its_name,
        beside_others chart::ports_and_labels_of_the_user_stand_where_they_belong,
    ]
}

fn about_rollouts(house: &Arc<House>) -> Vec<Trial> {
    trials![house:
        beside_others rollout::a_rollout_of_sixty_never_takes_more_than_a_tenth_away,
        beside_others order::pods_are_updated_by_weight_then_by_number_then_scattered,
        beside_others rollout::a_partition_holds_until_it_is_lowered,
        beside_others rollout::a_paused_rollout_goes_on_when_it_is_resumed,
        beside_others rollout::a_set_of_type_not_update_leaves_running_pods_alone,
        beside_others rollout::only_pods_that_the_update_selector_names_are_updated,
        beside_others rollout::two_sets_that_change_at_once_both_reach_the_pods,
        beside_others rollout::a_bad_image_takes_no_more_than_the_limit_away_and_a_good_one_mends_it,
        beside_others rollout::a_pod_that_is_never_ready_does_not_hold_up_the_others,
        beside_others rollout::only_new_pods_get_more_than_a_new_image,
        beside_others events::a_container_that_takes_the_place_of_another_is_told_of_its_set_and_of_the_workload,
        beside_others events::a_budget_that_refuses_tells_so_once_of_the_pod_and_of_itself,
        beside_others events::a_spread_that_is_full_tells_so,
        beside_others events::a_rollout_that_is_stuck_tells_which_pods_and_why,
        beside_others rollout::a_native_sidecar_is_updated_in_place_where_its_set_says_so,
        beside_others history::a_rollback_makes_the_old_revision_the_newest_again,
        beside_others hot_upgrade::three_hot_upgrades_take_turns_and_no_pod_is_ever_down,
        beside_others hot_upgrade::a_hot_upgrade_to_a_bad_image_is_taken_back_by_the_previous_one,
        beside_others traffic::counts_come_out_right_when_pods_come_go_and_finish_meanwhile,
    ]
}

fn about_sets_and_leases(house: &Arc<House>) -> Vec<Trial> {
    trials![house:
        beside_others lease::a_killed_leader_is_replaced_and_one_that_stops_hands_over_at_once,
        beside_others lease::who_takes_the_lease_deposes_the_leader,
        beside_others lease::a_lease_is_only_replaced_by_who_has_seen_its_last_version,
        beside_others sets::a_bad_set_is_refused_while_our_webhooks_are_down,
        beside_others sets::what_the_reference_admits_the_api_server_admits,
        beside_others sets::a_set_is_filled_in_hashed_and_judged,
        beside_others sets::the_api_server_judges_containers_by_its_own_rules,
        beside_others sets::the_whitelist_of_annotations_is_followed,
    ]
}

fn about_budgets(house: &Arc<House>) -> Vec<Trial> {
    trials![house:
        beside_others counting::a_budget_follows_its_workload_whichever_was_there_first,
        beside_others counting::a_budget_counts_a_stateful_set,
        beside_others counting::a_budget_counts_a_kind_that_nobody_knew_before,
        beside_others budgets::an_eviction_without_room_is_answered_429_in_words,
        beside_others budgets::three_hundred_reviews_take_exactly_what_there_is_in_few_writes,
        beside_others budgets::a_pod_on_its_way_out_goes_while_our_server_is_down,
        beside_others budgets::a_dry_run_takes_nothing_and_a_review_of_the_older_version_does,
        beside_others budgets::what_is_scaled_down_or_deleted_with_its_owner_is_not_wedged,
        beside_others budgets::pods_of_pinned_images_are_guarded_by_a_server_that_was_restarted,
        beside_others budgets::a_change_in_place_takes_a_unit_where_updates_are_guarded,
        beside_others drains::a_drain_of_thirty_guarded_pods_ends_by_itself,
        beside_others drains::kubectl_drains_a_node_of_thirty_guarded_pods,
    ]
}

fn about_spreads(house: &Arc<House>) -> Vec<Trial> {
    trials![house:
        beside_others spreads::scaling::two_hundred_pods_grow_shrink_and_grow_exactly,
        beside_others spreads::scaling::a_rolling_update_ends_with_the_new_revision_in_its_places,
        beside_others spreads::scaling::percentages_follow_the_number_of_replicas,
        beside_others spreads::owners::pods_of_a_stateful_set_are_placed_by_their_ordinals,
        beside_others spreads::owners::a_job_fills_the_places_of_pods_that_have_ended,
        beside_others spreads::life::a_dry_run_shows_the_place_and_takes_nothing,
        beside_others spreads::life::a_place_is_given_back_by_a_pod_that_goes,
        beside_others spreads::life::a_spread_made_after_its_pods_counts_them,
        beside_others spreads::life::a_spread_that_is_deleted_leaves_its_pods_as_they_are,
        beside_others spreads::life::a_second_spread_of_a_workload_is_refused,
        beside_others spreads::life::kubectl_shows_how_the_subsets_stand,
        beside_others spreads::patches::a_patch_with_a_priority_class_gets_its_priority,
        beside_others spreads::patches::a_pod_that_is_shown_twice_takes_one_place,
    ]
}

fn about_protection(house: &Arc<House>) -> Vec<Trial> {
    trials![house:
        beside_others protection::what_is_labelled_stays_with_no_server_of_ours,
        beside_others protection::labels_that_kubernetes_copies_keep_nothing,
        beside_others protection::what_is_ours_is_kept_as_far_as_a_policy_can,
        beside_others protection::a_namespace_that_goes_says_what_it_waits_for,
        beside_others protection::claims_and_namespaces_stay_while_pods_hang_on_them,
        beside_others protection::services_and_definitions_stay_while_they_are_used,
        beside_others protection::a_protection_ends_when_its_time_has_come_and_an_event_says_so,
    ]
}

fn that_disturb_others(house: &Arc<House>) -> Vec<Trial> {
    trials![house:
        // One leader from begin to end: another one may know less for a moment, and say so.
        alone history::old_revisions_go_but_not_those_that_are_needed,
        alone status::a_status_is_true_and_is_written_no_more_than_once_a_second,
        alone evictions::of_three_hundred_evictions_half_pass_while_servers_are_killed,
        alone lease::a_server_leads_and_releases_its_lease_when_it_is_told_to_end,
        alone sets::a_set_reads_in_both_versions,
        alone spreads::patches::a_spread_of_the_older_version_places_pods,
        alone spreads::life::a_status_of_the_reference_is_gone_on_with,
        alone spreads::adaptive::pods_without_a_node_are_moved_on_and_come_back_after_a_time,
        alone spreads::replicas::servers_killed_in_the_middle_of_a_scale_up_cost_no_place,
        alone jobs::a_job_completes_although_its_sidecar_never_ends_of_itself,
        alone jobs::with_an_agent_on_the_nodes_it_is_asked_to_end_the_sidecar,
        alone leaders::a_leader_killed_three_times_in_a_rollout_costs_nothing,
        alone leaders::a_leader_that_is_stopped_hands_over_at_once,
        alone takeover::what_the_reference_left_behind_is_taken_over_without_a_change,
        alone injection::watches_recover_when_the_api_server_was_killed,
        alone recovery::a_watch_recovers_when_the_api_server_was_killed,
        alone recovery::a_watch_recovers_when_the_api_server_was_stopped,
    ]
}

/// A test that needs no cluster.
fn plain(_: &Arc<House>, name: &str, test: fn() -> Result<()>) -> Trial {
    Trial::test(name, move || test().map_err(|error| failed(&error)))
}

/// A test that shares the cluster with those that run at the same time.
fn beside_others<F>(house: &Arc<House>, name: &str, test: impl FnOnce(Arc<Cluster>) -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    in_cluster(house, name, async move |cluster| {
        let _turn = cluster.turn.read().await;
        limited(&cluster, test(Arc::clone(&cluster))).await
    })
}

/// A test that has the cluster for itself, because it takes parts of it away.
fn alone<F>(house: &Arc<House>, name: &str, test: impl FnOnce(Arc<Cluster>) -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    in_cluster(house, name, async move |cluster| {
        let _turn = cluster.turn.write().await;
        limited(&cluster, test(Arc::clone(&cluster))).await
    })
}

/// A test with a cluster of its own, in which our Deployment really runs. The one that all share goes on beside it.
fn on_an_estate<F>(house: &Arc<House>, name: &str, test: impl FnOnce(Estate) -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    let estates = Arc::clone(house);
    in_cluster(house, name, async move |cluster| estates.lend(&cluster, test).await)
}

/// The same, with cert-manager's CA injector, which has to be built.
fn beside_the_injector<F>(house: &Arc<House>, name: &str, test: impl FnOnce(Estate) -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    if let Some(why) = cainjector::what_is_missing() {
        return Trial::ignorable_test(name, || if in_ci() { Err(why.into()) } else { Ok(Completion::ignored_with(why)) });
    }
    let estates = Arc::clone(house);
    in_cluster(house, name, async move |cluster| {
        cainjector::build(&cluster.plane)?;
        estates.lend(&cluster, test).await
    })
}

async fn limited(cluster: &Cluster, test: impl Future<Output = Result<()>>) -> Result<()> {
    // A test that failed half-way may have left the API server stopped.
    cluster.plane.start_api_server().await?;
    let tested = tokio::time::timeout(LIMIT, test).await;
    tested.with_context(|| format!("it takes longer than {} s", LIMIT.as_secs()))??;
    cluster.plane.still_runs().await
}

fn in_cluster(house: &Arc<House>, name: &str, test: impl AsyncFnOnce(Arc<Cluster>) -> Result<()> + Send + 'static) -> Trial {
    let house = Arc::clone(house);
    Trial::ignorable_test(name, move || {
        let cluster = match house.cluster() {
            Availability::Up(cluster) => Arc::clone(cluster),
            Availability::Impossible(why) if in_ci() => return Err(why.into()),
            Availability::Impossible(why) => return Ok(Completion::ignored_with(why)),
            Availability::Broken(why) => return Err(why.into()),
        };
        house.runtime.block_on(test(cluster)).map(|()| Completion::Completed).map_err(|error| failed(&error))
    })
}

fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

fn failed(error: &anyhow::Error) -> Failed {
    format!("{error:#}").into()
}

/// What all tests live in.
struct House {
    runtime: Runtime,
    cluster: OnceLock<Availability>,
    /// There is one at a time: it costs as much as the cluster that all share.
    estates: Semaphore,
}

enum Availability {
    Up(Arc<Cluster>),
    Impossible(String),
    Broken(String),
}

impl House {
    /// The end of all tests: servers have asked for nothing that they may not.
    fn nobody_was_refused(&self) -> Result<()> {
        match self.cluster.get() {
            Some(Availability::Up(cluster)) => self.runtime.block_on(async {
                // A test that failed half-way may have left the API server stopped.
                cluster.plane.start_api_server().await?;
                rights::nobody_was_refused(&cluster.plane).await
            }),
            _ => Ok(()),
        }
    }

    /// An estate for one test.
    async fn lend<F: Future<Output = Result<()>>>(&self, like: &Cluster, test: impl FnOnce(Estate) -> F) -> Result<()> {
        let _one = self.estates.acquire().await?;
        let estate = Estate::start(like).await?;
        let its = Arc::clone(&estate.cluster);
        let tested = tokio::time::timeout(ESTATE_LIMIT, test(estate)).await;
        tested.with_context(|| format!("it takes longer than {} s", ESTATE_LIMIT.as_secs()))??;
        rights::nobody_was_refused(&its.plane).await
    }

    fn cluster(&self) -> &Availability {
        self.cluster.get_or_init(|| match binaries::what_is_missing() {
            Some(why) => Availability::Impossible(why),
            None => Cluster::start(&self.runtime).map_or_else(
                |error| Availability::Broken(format!("no control plane: {error:#}")),
                |cluster| Availability::Up(Arc::new(cluster)),
            ),
        })
    }
}
