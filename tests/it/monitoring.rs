//! The dashboard and the alerts in `manifests/monitoring` speak of metrics that exist, and every alert has its paragraph in the docs.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fs,
    path::Path,
    time::Duration,
};

use outrigger::{
    handlers::TABLE,
    manifests::{Rendering, files},
    plan::Key,
    telemetry::metrics::{Metrics, Verdict},
};
use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{Expr, VectorSelector, parse},
    util::{ExprVisitor, walk_expr},
};
use serde_json::Value;
use tokio::time::Instant;

/// What others tell: Prometheus itself, API servers, and what looks at the objects of a cluster.
const OTHERS: [&str; 4] = [
    "up",
    "apiserver_admission_webhook_fail_open_count",
    "apiserver_admission_webhook_rejection_count",
    "kube_pod_container_resource_limits",
];
/// A word of the dashboard that Grafana replaces by a duration.
const INTERVAL: &str = "$__rate_interval";
/// One that it replaces by what is chosen.
const NAMESPACE: &str = "$namespace";
/// What Prometheus calls the job by our `ServiceMonitor`; here it is the name of the namespace as well.
const SCRAPED: &str = "outrigger";
/// A time, which is there when it has come.
const FIRST_HEARD: &str = "outrigger_watch_heard_timestamp_seconds";

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&file(path)).unwrap()
}

fn dashboard() -> Value {
    serde_json::from_str(&file("manifests/monitoring/dashboard.json")).unwrap()
}

fn alerts() -> Vec<Value> {
    let rules = yaml("manifests/monitoring/prometheus-rule.yaml");
    let groups = rules["spec"]["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

/// The metrics of a server that has just started: it has its hooks, and has answered nothing.
fn started() -> Metrics {
    let metrics = Metrics::new();
    for door in TABLE {
        let _ = metrics.hook(door.path);
    }
    metrics
}

/// The text of `/metrics` when each of them has been counted once: what was never counted is not there.
fn told() -> String {
    let metrics = started();
    let hook = metrics.hook("/a");
    for verdict in [Verdict::Allowed, Verdict::Patched, Verdict::Denied, Verdict::Unreadable, Verdict::Panicked] {
        hook.answered(verdict, "budget");
    }
    hook.asked(false, Duration::ZERO);
    metrics.shadow("/a").denied.inc();
    metrics.claims("budget").ended("given", Duration::ZERO);
    metrics.objects("pod", 1);
    metrics.events("told");
    metrics.watches.of("pods").heard(jiff::Timestamp::UNIX_EPOCH);
    metrics.watches.restarted("pods");
    let key = Key::SidecarSet("log".into());
    metrics.queue.put(&key, Instant::now());
    metrics.queue.take(&key);
    metrics.queue.done(&key, Instant::now());
    metrics.to_text()
}

/// The names that queries may use.
fn queried() -> BTreeSet<String> {
    let text = told();
    let of = |line: &str| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let ends: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        Some(ends.iter().map(|end| format!("{name}{end}")).collect::<Vec<_>>())
    };
    text.lines().filter_map(of).flatten().collect()
}

/// A series: the name of its metric, and its labels.
type Series = (String, BTreeMap<String, String>);

/// The series of a text of `/metrics`, with what Prometheus adds when it scrapes.
fn series(text: &str) -> Vec<Series> {
    let of = |line: &str| {
        let (series, _) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line} has no value"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap().split("\",").filter(|label| !label.is_empty());
        let scraped = ["job", "namespace"].map(|label| (label.to_owned(), SCRAPED.to_owned()));
        let labels = labels
            .map(|label| label.split_once("=\"").unwrap())
            .map(|(label, word)| (label.to_owned(), word.trim_end_matches('"').to_owned()));
        (name.to_owned(), labels.chain(scraped).collect())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(of).collect()
}

/// What an expression looks at: a metric, and which of its series.
fn selectors(expression: &str) -> Vec<VectorSelector> {
    struct Selectors(Vec<VectorSelector>);
    impl ExprVisitor for Selectors {
        type Error = Infallible;
        fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Infallible> {
            match expression {
                Expr::VectorSelector(selector) => self.0.push(selector.clone()),
                Expr::MatrixSelector(range) => self.0.push(range.vs.clone()),
                _ => {}
            }
            Ok(true)
        }
    }
    let mut selectors = Selectors(Vec::new());
    let parsed =
        parse(&expression.replace(INTERVAL, "5m").replace(NAMESPACE, SCRAPED)).unwrap_or_else(|error| panic!("{expression}: {error}"));
    walk_expr(&mut selectors, &parsed).unwrap();
    assert!(!selectors.0.is_empty(), "{expression} looks at nothing");
    selectors.0
}

/// The metrics that an expression looks at.
fn looked_at(expression: &str) -> BTreeSet<String> {
    selectors(expression).into_iter().map(|selector| selector.name.unwrap()).collect()
}

/// Whether a selector finds one of these series.
fn finds(selector: &VectorSelector, all: &[Series]) -> bool {
    let is_met =
        |labels: &BTreeMap<String, String>, matcher: &Matcher| matcher.is_match(labels.get(&matcher.name).map_or("", String::as_str));
    let name = selector.name.as_deref().unwrap();
    all.iter().any(|(of, labels)| of == name && selector.matchers.matchers.iter().all(|matcher| is_met(labels, matcher)))
}

fn expressions_of_the_dashboard() -> Vec<String> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter(|panel| panel["type"] != "row").flat_map(|panel| {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{} shows nothing", panel["title"]);
        targets
    });
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

fn expressions_of_alerts() -> Vec<String> {
    alerts().into_iter().map(|alert| alert["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_metric_that_is_looked_at_exists() {
    let known = queried();
    let all: Vec<_> = expressions_of_the_dashboard().into_iter().chain(expressions_of_alerts()).collect();
    let mut of_others = BTreeSet::new();
    for expression in &all {
        for name in looked_at(expression) {
            if OTHERS.contains(&name.as_str()) {
                of_others.insert(name);
            } else {
                assert!(known.contains(&name), "{expression}: there is no {name} in /metrics");
            }
        }
    }
    assert_eq!(of_others, OTHERS.map(str::to_owned).into(), "what is on the list of others is looked at");
    assert!(OTHERS.iter().all(|name| !name.starts_with("outrigger_")));
}

/// Selectors of ours in these expressions that find none of these series.
fn without_series(expressions: &[String], all: &[Series]) -> Vec<String> {
    let of_ours = expressions.iter().flat_map(|expression| selectors(expression));
    let of_ours = of_ours.filter(|selector| !OTHERS.contains(&selector.name.as_deref().unwrap()));
    of_ours.filter(|selector| !finds(selector, all)).map(|selector| selector.to_string()).collect()
}

#[test]
fn the_series_that_is_looked_at_has_such_labels() {
    let all = series(&told());
    let expressions: Vec<_> = expressions_of_the_dashboard().into_iter().chain(expressions_of_alerts()).collect();
    assert_eq!(without_series(&expressions, &all), Vec::<String>::new());
    let wrong = ["rate(outrigger_claims_total{outcome=\"lost\"}[5m])", "outrigger_ready{job=\"other\"}", "outrigger_objects{kind!~\".+\"}"];
    assert_eq!(without_series(&wrong.map(str::to_owned), &all).len(), wrong.len());
}

#[test]
fn what_alerts_look_at_is_there_from_the_start() {
    let all = series(&started().to_text());
    let expressions: Vec<_> = expressions_of_alerts().into_iter().filter(|expression| !expression.contains(FIRST_HEARD)).collect();
    assert_eq!(expressions.len() + 1, alerts().len());
    assert_eq!(
        without_series(&expressions, &all),
        Vec::<String>::new(),
        "a rate of what appears at its first time does not show that time"
    );
}

/// Whether a selector looks at nothing but the job that our `ServiceMonitor` makes, or at what others tell.
fn is_of_our_job(selector: &VectorSelector) -> bool {
    let is_of_others = selector.name.as_deref().is_some_and(|name| OTHERS.contains(&name) && name != "up");
    let is_job = |matcher: &&Matcher| (matcher.name.as_str(), matcher.value.as_str(), &matcher.op) == ("job", SCRAPED, &MatchOp::Equal);
    is_of_others || selector.matchers.matchers.iter().filter(is_job).count() == 1
}

#[test]
fn a_shadow_beside_us_is_neither_shown_nor_hides_or_raises_an_alert() {
    for expression in expressions_of_the_dashboard().into_iter().chain(expressions_of_alerts()) {
        let strange: Vec<_> = selectors(&expression).into_iter().filter(|selector| !is_of_our_job(selector)).collect();
        assert!(strange.is_empty(), "{expression}: a shadow beside us is counted in: {strange:?}");
    }
    let whose = |expression| is_of_our_job(&selectors(expression)[0]);
    let lax = ["outrigger_ready", "outrigger_ready{job=~\"outrigger.*\"}", "up{namespace=\"a\"}"].map(whose);
    assert_eq!((lax, whose("outrigger_ready{job=\"outrigger\"}")), ([false; 3], true));
}

#[test]
fn namespaces_to_choose_from_are_those_of_our_job() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let query = variables.iter().find_map(|variable| variable["query"]["query"].as_str()).unwrap();
    let (selector, label) = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
    assert!(is_of_our_job(&selectors(selector)[0]) && label == "namespace", "{query}");
}

#[test]
fn a_metric_that_does_not_exist_is_found_wherever_it_stands() {
    let names = |expression| looked_at(expression).into_iter().collect::<Vec<_>>();
    assert_eq!(
        names("histogram_quantile(0.9, sum by (le) (rate(a_bucket{x=\"b_total\"}[$__rate_interval]))) > time() - 2 * c"),
        ["a_bucket", "c"]
    );
    assert_eq!(names("absent(up{job=\"d\"} == 1) or (e / on (pod) group_left f)"), ["e", "f", "up"]);
}

/// The headings of a level under a heading of the docs.
fn headings(under: &str) -> BTreeSet<String> {
    let docs = file("docs/operate.md");
    let (_, rest) = docs.split_once(&format!("\n## {under}\n")).unwrap_or_else(|| panic!("docs/operate.md: there is no {under:?}"));
    let part = rest.split("\n## ").next().unwrap();
    part.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect()
}

#[test]
fn every_alert_has_its_paragraph_and_every_paragraph_its_alert() {
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        assert_eq!(alert["annotations"]["runbook_url"], format!("docs/operate.md#{}", name.to_lowercase()));
        assert!(["info", "warning", "critical"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
        for member in ["/for", "/annotations/summary", "/annotations/description"] {
            assert!(alert.pointer(member).is_some_and(|text| !text.as_str().unwrap().is_empty()), "{name}: {member}");
        }
    }
    assert_eq!(headings("Alerts and runbooks"), names);
}

#[test]
fn every_metric_stands_in_the_docs_and_nothing_else() {
    let docs = file("docs/operate.md");
    let (_, metrics) = docs.split_once("\n## Metrics\n").unwrap();
    let metrics = metrics.split("\n## ").next().unwrap();
    let documented: BTreeSet<_> =
        metrics.lines().filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next()).map(str::to_owned).collect();
    let real: BTreeSet<_> = queried().into_iter().map(|name| name.strip_suffix("_bucket").map(str::to_owned).unwrap_or(name)).collect();
    let real: BTreeSet<_> = real
        .iter()
        .filter(|name| {
            let stem = name.strip_suffix("_sum").or_else(|| name.strip_suffix("_count"));
            !stem.is_some_and(|stem| real.contains(stem))
        })
        .cloned()
        .collect();
    assert_eq!(documented, real);
}

#[test]
fn panels_have_names_and_places_of_their_own() {
    let dashboard = dashboard();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeMap::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is that of another one");
        let at = |member: &str| panel["gridPos"][member].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title} is too broad");
        for place in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert_eq!(taken.insert(place, title), None, "{title} lies on another one");
        }
    }
    assert!(ids.len() > 30);
}

/// What an expression of the dashboard gives, by the units in which Grafana would show it.
fn units(expression: &str) -> &'static [&'static str] {
    if expression.starts_with("histogram_quantile(") || expression.contains("time()") {
        &["s"]
    } else if expression.contains("rate(") {
        &["reqps", "ops"]
    } else {
        let names = looked_at(expression);
        let ends = |end: &str| names.iter().all(|name| name.ends_with(end));
        if ends("_seconds") {
            &["s"]
        } else if ends("_bytes") {
            &["bytes"]
        } else {
            &["short"]
        }
    }
}

/// The unit in which a panel shows one of its targets, if that has one of its own.
fn own_unit<'p>(panel: &'p Value, legend: &str) -> Option<&'p str> {
    let overrides = panel["fieldConfig"]["overrides"].as_array().unwrap().iter();
    let is_meant = |matcher: &Value| {
        let options = matcher["options"].as_str().unwrap();
        match matcher["id"].as_str().unwrap() {
            "byName" => options == legend,
            "byRegexp" => legend.ends_with(options.strip_prefix('/').unwrap().strip_suffix("$/").unwrap()),
            other => panic!("{other} is not known here"),
        }
    };
    let meant = overrides.filter(|one| is_meant(&one["matcher"])).flat_map(|one| one["properties"].as_array().unwrap());
    let mut units = meant.filter(|property| property["id"] == "unit").map(|property| property["value"].as_str().unwrap());
    units.next()
}

#[test]
fn an_axis_has_one_unit() {
    let dashboard = dashboard();
    for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        let of = |target: &Value| units(target["expr"].as_str().unwrap());
        for target in &targets[1..] {
            let own = own_unit(panel, target["legendFormat"].as_str().unwrap());
            let is_told_apart = own.map_or_else(|| of(target) == of(&targets[0]), |unit| of(target).contains(&unit));
            assert!(is_told_apart, "{}: {} is no {}", panel["title"], target["expr"], panel["fieldConfig"]["defaults"]["unit"]);
        }
        if targets.len() > 1 {
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
            assert!(of(&targets[0]).contains(&unit), "{}: {} in {unit}", panel["title"], targets[0]["expr"]);
        }
    }
}

#[test]
fn what_is_scraped_is_a_port_of_our_service() {
    let monitor = yaml("manifests/monitoring/service-monitor.yaml");
    let service = files(&Rendering::default()).unwrap().into_iter().find(|file| file.path.as_os_str() == "service.yaml").unwrap();
    let services = service.text.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    let labels = &monitor["spec"]["selector"]["matchLabels"];
    let is_scraped = |service: &Value| {
        let ports = service["spec"]["ports"].as_array().unwrap();
        service["metadata"]["labels"] == *labels && ports.iter().any(|port| port["name"] == monitor["spec"]["endpoints"][0]["port"])
    };
    assert_eq!(services.filter(is_scraped).count(), 1);
    assert_eq!(labels[monitor["spec"]["jobLabel"].as_str().unwrap()], "outrigger", "alerts know it by this name");
}

#[test]
fn the_kustomization_names_the_files_that_are_there() {
    let kustomization = yaml("manifests/monitoring/kustomization.yaml");
    let resources = kustomization["resources"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    let generated = kustomization["configMapGenerator"][0]["files"].as_array().unwrap().iter();
    let generated = generated.map(|file| file.as_str().unwrap().split_once('=').unwrap().1.to_owned());
    let named: BTreeSet<_> = resources.chain(generated).chain(["kustomization.yaml".to_owned()]).collect();
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/monitoring")).unwrap();
    let there: BTreeSet<_> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(named, there);
}
