//! Under which name a replica stands for election.

use rustls::crypto::SecureRandom;

/// A name that no other process has, not even the next one of the same pod.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What stands in the lease.
    pub name: String,
    /// Where the spread of the tries begins; different for each replica, so that they do not all ask at once.
    pub seed: u64,
}

/// There are no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("no name for leader election: the system gives no random numbers")]
pub struct IdentityError;

impl Identity {
    /// The pod's name, or that of the host, and a random suffix.
    pub fn new(pod: Option<&str>, random: &dyn SecureRandom) -> Result<Self, IdentityError> {
        let mut bytes = [0; 8];
        random.fill(&mut bytes).map_err(|_| IdentityError)?;
        let seed = u64::from_be_bytes(bytes);
        let system = rustix::system::uname();
        let host = || system.nodename().to_string_lossy();
        let name = pod.filter(|pod| !pod.is_empty()).map_or_else(host, Into::into);
        Ok(Self { name: format!("{name}_{seed:016x}"), seed })
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    #[test]
    fn two_processes_of_one_pod_have_different_names() {
        let name = || Identity::new(Some("outrigger-0"), default_provider().secure_random).unwrap().name;
        let (one, other) = (name(), name());
        assert!(one.starts_with("outrigger-0_") && other.starts_with("outrigger-0_"), "{one} {other}");
        assert_ne!(one, other);
    }

    #[test]
    fn without_a_pod_the_host_gives_the_name() {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        for pod in [None, Some("")] {
            let name = Identity::new(pod, default_provider().secure_random).unwrap().name;
            assert_eq!(name.rsplit_once('_').unwrap().0, host);
        }
    }
}
