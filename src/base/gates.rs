//! What the operator can switch. Feature gates, by the reference's names and with its defaults (`reference/protection-and-infra.md` B.10), but for
//! deletion protection, which is on: a label that somebody put on an object is meant.

use std::collections::BTreeMap;

/// Every gate that the reference knows, with our default. Gates of features that do not exist here yet are accepted, so
/// that a command line that works with the reference works here.
const KNOWN: &[(&str, bool)] = &[
    ("CloneSetEventHandlerOptimization", false),
    ("CloneSetPartitionRollback", false),
    ("CloneSetShortHash", false),
    ("DaemonSetPruneIneligibleNodes", false),
    ("DaemonWatchingPod", true),
    ("DefaultHostNetworkHostPortsInPodTemplates", false),
    ("DeletionProtectionForCRDCascadingGate", false),
    ("EnableExternalCerts", false),
    ("EnablePodProbeMarkerOnServerless", false),
    ("EnableSortSidecarContainerByName", false),
    ("EnhancedLivenessProbe", false),
    ("ForceDeleteTimeoutExpectationGate", false),
    ("ImagePullJobGate", false),
    ("InPlacePodVerticalScaling", false),
    ("InPlaceUpdateEnvFromMetadata", true),
    ("InPlaceWorkloadVerticalScaling", false),
    ("KruiseDaemon", true),
    ("KruisePodReadinessGate", false),
    ("PodIndexLabel", true),
    ("PodProbeMarkerGate", true),
    ("PodUnavailableBudgetDeleteGate", true),
    ("PodUnavailableBudgetUpdateGate", false),
    ("PodWebhook", true),
    ("PreDownloadImageForDaemonSetUpdate", false),
    ("PreDownloadImageForInPlaceUpdate", false),
    ("PreparingUpdateAsUpdate", false),
    ("RecreatePodWhenChangeVCTInCloneSetGate", false),
    ("ResourceDistributionGate", false),
    ("ResourcesDeletionProtection", true),
    ("SidecarSetPatchPodMetadataDefaultsAllowed", false),
    ("SidecarTerminator", false),
    ("StatefulSetAutoDeletePVC", true),
    ("StatefulSetAutoResizePVCGate", false),
    ("StatefulSetStartOrdinal", false),
    ("TemplateNoDefaults", false),
    ("WorkloadSpread", true),
];

/// The gates that decisions ask for, each a plain field: they are read for every pod.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gates {
    /// `PodWebhook`: pods are looked at at all.
    pub pod_webhook: bool,
    /// `PodUnavailableBudgetDeleteGate`: budgets guard against deletions and evictions.
    pub budgets_on_delete: bool,
    /// `PodUnavailableBudgetUpdateGate`: budgets guard against changes.
    pub budgets_on_update: bool,
    /// `InPlacePodVerticalScaling`: a resize is guarded against where a budget names it, and not with updates.
    pub resize_is_its_own: bool,
    /// `ResourcesDeletionProtection`: what is labelled may not be deleted.
    pub deletion_protection: bool,
    /// `WorkloadSpread`: pods are placed in subsets.
    pub spreads: bool,
    /// `SidecarTerminator`: sidecars of finished Jobs are ended.
    pub sidecar_terminator: bool,
    /// `KruisePodReadinessGate`: every new pod gets the readiness gate, whoever owns it.
    pub readiness_gate_everywhere: bool,
    /// `EnableSortSidecarContainerByName`: regular sidecars of all sets are sorted by name.
    pub sort_sidecars_by_name: bool,
    /// With which code an eviction is refused that a budget has no room for. (No gate, but a flag of its own.)
    pub eviction_code: EvictionCode,
    /// `SidecarSetPatchPodMetadataDefaultsAllowed`: without a whitelist for it, sets may put any annotation on pods.
    pub patch_any_annotation: bool,
}

/// With which HTTP code an eviction is refused that a budget has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionCode {
    /// 429: whoever drains a node tries again.
    #[default]
    TooManyRequests,
    /// 403, as the reference does: drains give up.
    Forbidden,
}

impl EvictionCode {
    /// The code.
    pub const fn number(self) -> u16 {
        match self {
            Self::TooManyRequests => 429,
            Self::Forbidden => 403,
        }
    }
}

/// What is wrong with a list of gates.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GatesError {
    /// An item that is not a name, an equals sign and a value.
    #[error("feature gates: expected NAME=true or NAME=false, found `{0}`")]
    Form(String),
    /// A name that neither the reference nor we know.
    #[error("feature gates: there is no gate `{0}`")]
    Unknown(String),
}

impl Gates {
    /// The same, refusing evictions with this code.
    #[must_use]
    pub fn refusing_evictions_with(self, code: EvictionCode) -> Self {
        Self { eviction_code: code, ..self }
    }

    /// Whether budgets guard anything.
    pub const fn has_budgets(&self) -> bool {
        self.budgets_on_delete || self.budgets_on_update
    }

    /// Whether anything is done about pods that depends on whose they are.
    pub const fn needs_workloads(&self) -> bool {
        self.has_budgets() || self.spreads
    }

    /// Reads `Name=true,Other=false`; blanks around items are allowed, an empty text gives the defaults.
    pub fn parse(text: &str) -> Result<Self, GatesError> {
        let mut values: BTreeMap<&str, bool> = KNOWN.iter().copied().collect();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, value) = item.split_once('=').ok_or_else(|| GatesError::Form(item.to_owned()))?;
            let value = match value.trim() {
                "true" | "True" | "TRUE" | "1" | "t" | "T" => true,
                "false" | "False" | "FALSE" | "0" | "f" | "F" => false,
                _ => return Err(GatesError::Form(item.to_owned())),
            };
            *values.get_mut(name.trim()).ok_or_else(|| GatesError::Unknown(name.trim().to_owned()))? = value;
        }
        let on = |name: &str| values.get(name).copied().unwrap_or_default();
        // The reference turns off whatever lives in the pod webhook together with it.
        let pod_webhook = on("PodWebhook");
        Ok(Self {
            pod_webhook,
            budgets_on_delete: pod_webhook && on("PodUnavailableBudgetDeleteGate"),
            budgets_on_update: pod_webhook && on("PodUnavailableBudgetUpdateGate"),
            resize_is_its_own: on("InPlacePodVerticalScaling"),
            deletion_protection: on("ResourcesDeletionProtection"),
            sidecar_terminator: on("SidecarTerminator"),
            spreads: on("WorkloadSpread"),
            readiness_gate_everywhere: pod_webhook && on("KruisePodReadinessGate"),
            sort_sidecars_by_name: on("EnableSortSidecarContainerByName"),
            eviction_code: EvictionCode::default(),
            patch_any_annotation: on("SidecarSetPatchPodMetadataDefaultsAllowed"),
        })
    }
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            pod_webhook: true,
            budgets_on_delete: true,
            budgets_on_update: false,
            resize_is_its_own: false,
            deletion_protection: true,
            spreads: true,
            sidecar_terminator: false,
            readiness_gate_everywhere: false,
            sort_sidecars_by_name: false,
            eviction_code: EvictionCode::default(),
            patch_any_annotation: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_means_the_defaults() {
        assert_eq!(Gates::parse("").unwrap(), Gates::default());
    }

    #[test]
    fn a_gate_is_switched_by_its_name() {
        let gates = Gates::parse(" EnableSortSidecarContainerByName=true , WorkloadSpread=false").unwrap();
        assert_eq!(gates, Gates { sort_sidecars_by_name: true, spreads: false, ..Gates::default() });
        assert_eq!(Gates::parse("SidecarTerminator=true").unwrap(), Gates { sidecar_terminator: true, ..Gates::default() });
    }

    #[test]
    fn gates_of_the_pod_webhook_fall_with_it() {
        let gates = Gates::parse("KruisePodReadinessGate=true,PodWebhook=false").unwrap();
        assert!(!gates.readiness_gate_everywhere);
    }

    #[test]
    fn an_unknown_gate_is_named() {
        assert_eq!(Gates::parse("Sidecars=true"), Err(GatesError::Unknown("Sidecars".to_owned())));
        assert_eq!(Gates::parse("WorkloadSpread"), Err(GatesError::Form("WorkloadSpread".to_owned())));
        assert_eq!(Gates::parse("WorkloadSpread=yes"), Err(GatesError::Form("WorkloadSpread=yes".to_owned())));
    }
}
