//! The fuzz targets, over the corpus: what was found stays mended, and the targets go on compiling and passing. Fuzzing itself is done
//! by hand (`docs/fuzzing.md`).

use std::{fs, path::Path};

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "of the fuzz targets it is a library")]
mod targets;

use self::targets::TARGETS;

/// Bytes that look random, the same in each run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn every_target_takes_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, run) in TARGETS {
        let files: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let taken = std::panic::catch_unwind(|| run(&fs::read(&file).unwrap()));
            assert!(taken.is_ok(), "{name}, {}", file.display());
        }
    }
}

#[test]
fn every_target_takes_noise() {
    for (name, run) in TARGETS {
        for seed in 0..300 {
            let taken = std::panic::catch_unwind(|| run(&noise(seed, usize::try_from(seed).unwrap())));
            assert!(taken.is_ok(), "{name}, noise {seed}");
        }
    }
}

#[test]
fn every_target_is_a_program_and_has_a_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let programs = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let text = fs::read_to_string(folder.join(format!("targets/{name}.rs"))).unwrap();
        assert!(text.contains(&format!("outrigger_fuzz::{name}::run")) && programs.contains(&format!("name = \"{name}\"")), "{name}");
    }
    assert_eq!(fs::read_dir(folder.join("targets")).unwrap().count(), TARGETS.len());
}
