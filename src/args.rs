//! What the operator types, and what the program needs.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand};
use jiff::SignedDuration;

use crate::{
    base::{
        gates::{EvictionCode, Gates, GatesError},
        installation::{AUTHORITY, CONVERSION_SERVICE, NAME, NAMESPACE, SERVICE},
    },
    offline::pods::Output,
    telemetry::log::Format,
};

/// OpenKruise-compatible admission webhooks and reconcilers for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "outrigger", version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the admission server, in a cluster or over a folder of manifests
    Serve(Box<Serve>),
    /// Show what pods, or the pod templates of workloads, look like after admission
    Inject(Inject),
    /// Answer recorded AdmissionReviews
    Review(Review),
    /// Render the CRDs, RBAC, webhook configurations and all else that is applied to a cluster
    Manifests(Manifests),
}

/// What all doors have in common.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Namespace that this program lives in: ControllerRevisions of SidecarSets are there
    #[arg(long, env = "POD_NAMESPACE", default_value = NAMESPACE, value_name = "NAME")]
    pub namespace: String,
    /// Features to switch, as Name=true,Other=false
    #[arg(long, env = "OUTRIGGER_FEATURE_GATES", default_value = "", value_name = "GATES")]
    pub feature_gates: String,
    /// HTTP code with which an eviction is refused that a PodUnavailableBudget has no room for: on 429 a drain tries again, on 403 it gives up
    #[arg(long, env = "OUTRIGGER_EVICTION_DENIAL_CODE", default_value = "429", value_parser = eviction_code, value_name = "CODE")]
    pub eviction_denial_code: EvictionCode,
    /// Which log lines are written: a level, or a filter like info,outrigger=debug
    #[arg(long, env = "OUTRIGGER_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How log lines look
    #[arg(long, env = "OUTRIGGER_LOG_FORMAT", value_enum, default_value = "text", value_name = "FORMAT")]
    pub log_format: Format,
}

/// `outrigger serve`
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Serve these manifests instead of a cluster
    #[arg(long, env = "OUTRIGGER_FROM", value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// Only watch: let every request pass as it is, write nothing, and tell what would have been done
    #[arg(long, env = "OUTRIGGER_SHADOW")]
    pub shadow: bool,
    /// Where reviews are answered, over TLS
    #[arg(long, env = "OUTRIGGER_LISTEN", default_value = "0.0.0.0:9443", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Where health and metrics are, over plain HTTP
    #[arg(long, env = "OUTRIGGER_ADMIN", default_value = "0.0.0.0:8080", value_name = "ADDR")]
    pub admin: SocketAddr,
    /// Serving certificate chain in PEM; looked at again every few seconds [default: in a cluster, certificates are kept by the server itself]
    #[arg(long, env = "OUTRIGGER_TLS_CERT_FILE", value_name = "FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// Private key of the certificate in PEM
    #[arg(long, env = "OUTRIGGER_TLS_KEY_FILE", value_name = "FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,
    /// Where the throw-away CA of --from lies
    #[arg(long, env = "OUTRIGGER_CERTS", default_value = "certs", value_name = "DIR")]
    pub certs: PathBuf,
    /// Seconds to go on accepting connections after SIGTERM, while the cluster takes note [default: 5, with --from 0]
    #[arg(long, env = "OUTRIGGER_LINGER", value_name = "SECONDS")]
    pub linger: Option<u64>,
    /// Who signs and who has to know, without certificate files.
    #[command(flatten)]
    pub authority: Authority,
    /// Who reconciles.
    #[command(flatten)]
    pub election: Election,
    /// What all doors have in common.
    #[command(flatten)]
    pub common: Common,
}

/// Certificates that the server keeps by itself: one CA in a Secret for all replicas. Used in a cluster, without certificate files. The names
/// that `manifests` renders; a shadow has others, beginning with `outrigger-shadow`.
#[derive(Clone, Debug, Args)]
pub struct Authority {
    /// Secret of our namespace with the CA; made if it does not exist, filled if it is empty, used as it is if somebody put a CA there
    #[arg(
        long,
        env = "OUTRIGGER_AUTHORITY_SECRET",
        default_value = AUTHORITY,
        default_value_if("shadow", "true", "outrigger-shadow-authority"),
        value_name = "NAME"
    )]
    pub authority_secret: String,
    /// Name of our two webhook configurations, whose caBundle the leader writes
    #[arg(
        long,
        env = "OUTRIGGER_WEBHOOK_CONFIGURATION",
        default_value = NAME,
        default_value_if("shadow", "true", "outrigger-shadow"),
        value_name = "NAME"
    )]
    pub webhook_configuration: String,
    /// Service that reviews are sent to
    #[arg(
        long,
        env = "OUTRIGGER_WEBHOOK_SERVICE",
        default_value = SERVICE,
        default_value_if("shadow", "true", "outrigger-shadow-webhook"),
        value_name = "NAME"
    )]
    pub webhook_service: String,
    /// Service that conversions are sent to
    #[arg(
        long,
        env = "OUTRIGGER_CONVERSION_SERVICE",
        default_value = CONVERSION_SERVICE,
        default_value_if("shadow", "true", "outrigger-shadow-conversion"),
        value_name = "NAME"
    )]
    pub conversion_service: String,
    /// A further DNS name or address that certificates are valid for, where hooks call a url; repeatable
    #[arg(long = "tls-name", env = "OUTRIGGER_TLS_NAMES", value_delimiter = ',', value_name = "NAME")]
    pub tls_names: Vec<String>,
    /// How long a CA is valid; the next one is made at two thirds
    #[arg(long, env = "OUTRIGGER_CA_VALIDITY", default_value = "17520h", value_parser = duration, value_name = "DURATION")]
    pub ca_validity: Duration,
    /// How long a serving certificate is valid; each replica signs a new one at two thirds
    #[arg(long, env = "OUTRIGGER_LEAF_VALIDITY", default_value = "720h", value_parser = duration, value_name = "DURATION")]
    pub leaf_validity: Duration,
    /// How long every API server takes at most to hear of a new caBundle; only then does the next CA sign
    #[arg(long, env = "OUTRIGGER_CA_SETTLE", default_value = "2m", value_parser = duration, value_name = "DURATION")]
    pub ca_settle: Duration,
}

impl Authority {
    /// All names that a certificate is valid for; the API server calls a service by the first two.
    pub fn names(&self, namespace: &str) -> Vec<String> {
        let services = [&self.webhook_service, &self.conversion_service].map(|service| format!("{service}.{namespace}.svc"));
        services.into_iter().chain(self.tls_names.iter().cloned()).collect()
    }
}

/// Which of several replicas reconciles. The flags are called as those of Kubernetes' own components.
#[derive(Clone, Debug, Args)]
pub struct Election {
    /// Reconcile only while holding the lease; false only where never more than one replica runs
    #[arg(
        long,
        env = "OUTRIGGER_LEADER_ELECT",
        action = ArgAction::Set,
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        value_name = "BOOL"
    )]
    pub leader_elect: bool,
    /// How long others wait for a leader that is silent; whole seconds
    #[arg(long, env = "OUTRIGGER_LEADER_ELECT_LEASE_DURATION", default_value = "15s", value_parser = duration, value_name = "DURATION")]
    pub leader_elect_lease_duration: Duration,
    /// How long a leader goes on without a renewal; less than the lease duration
    #[arg(long, env = "OUTRIGGER_LEADER_ELECT_RENEW_DEADLINE", default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub leader_elect_renew_deadline: Duration,
    /// How long to wait between two tries to get or to renew the lease
    #[arg(long, env = "OUTRIGGER_LEADER_ELECT_RETRY_PERIOD", default_value = "2s", value_parser = duration, value_name = "DURATION")]
    pub leader_elect_retry_period: Duration,
    /// Name under which this replica stands for election [default: the name of the host]
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,
}

impl Common {
    /// What is switched how.
    pub fn gates(&self) -> Result<Gates, GatesError> {
        Ok(Gates::parse(&self.feature_gates)?.refusing_evictions_with(self.eviction_denial_code))
    }
}

fn eviction_code(text: &str) -> Result<EvictionCode, String> {
    match text {
        "429" => Ok(EvictionCode::TooManyRequests),
        "403" => Ok(EvictionCode::Forbidden),
        _ => Err("expected 429 or 403".to_owned()),
    }
}

/// A duration as Go and Kubernetes write it.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|parsed| Duration::try_from(parsed).ok());
    parsed.ok_or_else(|| "expected a duration like 15s, 1m30s or 500ms".to_owned())
}

/// `outrigger inject`
#[derive(Clone, Debug, Args)]
pub struct Inject {
    /// Manifests to inject, - for standard input; repeatable
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The manifests that are the cluster
    #[arg(long, env = "OUTRIGGER_FROM", value_name = "DIR")]
    pub from: PathBuf,
    /// Form of the result
    #[arg(short = 'o', long, value_enum, default_value = "yaml", value_name = "FORM")]
    pub output: Output,
    /// Say for each SidecarSet whether it applies, and if not, why not (on standard error)
    #[arg(long)]
    pub why: bool,
    /// What all doors have in common.
    #[command(flatten)]
    pub common: Common,
}

/// `outrigger review`
#[derive(Clone, Debug, Args)]
pub struct Review {
    /// Recorded AdmissionReviews, - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The manifests that are the cluster
    #[arg(long, env = "OUTRIGGER_FROM", value_name = "DIR")]
    pub from: PathBuf,
    /// What all doors have in common.
    #[command(flatten)]
    pub common: Common,
}

/// `outrigger manifests`
#[derive(Clone, Debug, Args)]
pub struct Manifests {
    /// Where to write all files, components and chart included; if absent, what is to be applied comes on standard output
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write nothing; fail if what lies in --out differs
    #[arg(long, requires = "out")]
    pub check: bool,
    /// Refuse pods while no server answers, instead of letting them in without sidecars
    #[arg(long)]
    pub strict: bool,
    /// Namespace to install into
    #[arg(long, default_value = NAMESPACE, value_name = "NAME")]
    pub namespace: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(arguments: &[&str]) -> [String; 4] {
        let Command::Serve(serve) = Arguments::parse_from([&["outrigger", "serve"], arguments].concat()).command else {
            panic!("no server")
        };
        let Authority { authority_secret, webhook_configuration, webhook_service, conversion_service, .. } = serve.authority;
        [authority_secret, webhook_configuration, webhook_service, conversion_service]
    }

    #[test]
    fn a_shadow_has_names_of_its_own_unless_they_are_given() {
        assert_eq!(authority(&[]), ["outrigger-authority", "outrigger", "outrigger-webhook", "outrigger-conversion"]);
        let shadow = ["outrigger-shadow-authority", "outrigger-shadow", "outrigger-shadow-webhook", "outrigger-shadow-conversion"];
        assert_eq!(authority(&["--shadow"]), shadow);
        assert_eq!(authority(&["--shadow", "--authority-secret=mine"])[0], "mine");
    }
}
