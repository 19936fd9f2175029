//! The rules of the house that the compiler does not check.

mod rules;
mod source;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use self::{
    rules::{EXCEPTIONS, imports, impurities, writes_patches},
    source::Source,
};

/// Files that must not become longer; what is in test modules does not count.
const LONGEST: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All files under `src`, by their paths below it.
fn sources() -> Vec<(PathBuf, Source)> {
    let (mut folders, mut found) = (vec![root()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = Source::read(&std::fs::read_to_string(&path).unwrap());
                found.push((path.strip_prefix(root()).unwrap().to_owned(), source));
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// The files that are compiled into the binary; what is only compiled for tests is reached as well, but is not one of them.
fn tree() -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    let (mut production, mut tests) = (BTreeSet::new(), BTreeSet::new());
    let mut todo: Vec<(PathBuf, bool)> = ["lib.rs", "main.rs"].map(|file| (file.into(), false)).into();
    let sources = sources();
    while let Some((file, is_test)) = todo.pop() {
        let Some((_, source)) = sources.iter().find(|(path, _)| *path == file) else { continue };
        if is_test { &mut tests } else { &mut production }.insert(file.clone());
        let below = match file.file_stem().unwrap().to_str().unwrap() {
            "lib" | "main" | "mod" => file.parent().unwrap().to_owned(),
            _ => file.with_extension(""),
        };
        for (name, is_only_for_tests) in source.modules() {
            for place in [below.join(format!("{name}.rs")), below.join(&name).join("mod.rs")] {
                todo.push((place, is_test || is_only_for_tests));
            }
        }
    }
    (production, tests)
}

/// The files of the product itself.
fn production() -> Vec<(PathBuf, Source)> {
    let (production, _) = tree();
    sources().into_iter().filter(|(path, _)| production.contains(path)).collect()
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_file_is_in_the_module_tree() {
    let (production, tests) = tree();
    let is_lost = |path: &PathBuf| !production.contains(path) && !tests.contains(path);
    let lost: Vec<_> =
        sources().into_iter().map(|(path, _)| path).filter(is_lost).map(|path| format!("{}: not compiled", path.display())).collect();
    assert_none(&lost);
    assert!(production.len() > 40, "{production:?}");
}

#[test]
fn imports_point_one_way() {
    let wrong: Vec<_> = production()
        .iter()
        .flat_map(|(path, source)| {
            imports(path, source).into_iter().filter_map(|import| Some(format!("{}: {}", path.display(), import.wrong?)))
        })
        .collect();
    assert_none(&wrong);
}

#[test]
fn no_exception_is_left_over() {
    let used: BTreeSet<_> =
        production().iter().flat_map(|(path, source)| imports(path, source)).filter_map(|import| import.exception).collect();
    let left: Vec<_> =
        EXCEPTIONS.iter().filter(|exception| !used.contains(*exception)).map(|(from, to)| format!("{from} need not name {to}")).collect();
    assert_none(&left);
}

#[test]
fn pure_rooms_stay_pure() {
    let wrong: Vec<_> = production()
        .iter()
        .flat_map(|(path, source)| impurities(path, source).into_iter().map(|what| format!("{}: {what} in a pure room", path.display())))
        .collect();
    assert_none(&wrong);
}

#[test]
fn json_patch_is_written_in_one_place() {
    let found: Vec<_> = production().into_iter().filter(|(_, source)| writes_patches(source)).map(|(path, _)| path).collect();
    assert_eq!(found, [Path::new("admission/edits.rs")]);
}

#[test]
fn no_file_is_too_long() {
    let length =
        |(path, source): &(PathBuf, Source)| (source.length() > LONGEST).then(|| format!("{}: {} lines", path.display(), source.length()));
    assert_none(&production().iter().filter_map(length).collect::<Vec<_>>());
}

/// What the sources take in by `include_str!` has to be where the image is built.
#[test]
fn the_image_is_built_from_all_that_the_sources_take_in() {
    let project = root().join("..").canonicalize().unwrap();
    let dockerfile = std::fs::read_to_string(project.join("Dockerfile")).unwrap();
    let copied: Vec<_> =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")?.split(' ').next()).map(|path| project.join(path)).collect();
    let mut found = 0;
    for (path, source) in production() {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for text in source.texts().map(|text| text.trim_matches('"')) {
            let is_beside = || !text.is_empty() && !text.starts_with('/') && folder.join(text).is_file();
            if !text.starts_with("../") && !is_beside() {
                continue;
            }
            let taken = folder.join(text).canonicalize().unwrap_or_else(|error| panic!("{}: {text}: {error}", path.display()));
            found += 1;
            assert!(
                copied.iter().any(|copied| taken.starts_with(copied)),
                "{}: {} is not copied in the Dockerfile",
                path.display(),
                taken.display()
            );
        }
    }
    assert!(found >= 8, "{found}");
}
