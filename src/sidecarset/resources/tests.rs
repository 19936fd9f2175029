use serde_json::json;

use super::*;

fn policy(mode: &str, pattern: &str, expressions: &Json) -> ResourcesRule {
    let policy = json!({"targetContainersMode": mode, "targetContainersNameRegex": pattern, "resourcesExpr": expressions});
    ResourcesRule::compile(&serde_json::from_value(policy).expect("a policy"))
}

/// A target from `limits.cpu limits.memory requests.cpu requests.memory`, `-` being none.
fn target(resources: &str) -> TargetResources {
    let mut quantities = resources.split(' ').map(|text| (text != "-").then(|| Quantity::parse(text).expect(text)));
    let mut next = || quantities.next().flatten();
    TargetResources { limits_cpu: next(), limits_memory: next(), requests_cpu: next(), requests_memory: next() }
}

/// The resources as text, or the error.
fn resources(mode: &str, expressions: &Json, targets: &[&str]) -> Json {
    let targets: Vec<_> = targets.iter().map(|resources| target(resources)).collect();
    policy(mode, ".*", expressions).resources(&targets).unwrap_or_else(|error| Json::String(error.to_string()))
}

#[track_caller]
fn check(mode: &str, expressions: &Json, targets: &[&str], want: &Json) {
    assert_eq!(resources(mode, expressions, targets).to_string(), want.to_string(), "{mode} {expressions} {targets:?}");
}

#[test]
fn sums_and_maxima_are_those_of_the_recorded_answers() {
    check(
        "sum",
        &json!({"limits": {"cpu": "cpu*50%", "memory": "memory*10% + 20Mi"}, "requests": {"cpu": "cpu/2", "memory": "64Mi"}}),
        &["1 1Gi 200m 512Mi", "500m 512Mi 100m 512Mi"],
        &json!({"limits": {"cpu": "750m", "memory": "182032793600m"}, "requests": {"cpu": "150m", "memory": "64Mi"}}),
    );
    check(
        "max",
        &json!({"limits": {"cpu": "max(cpu*50%, 300m)", "memory": "min(memory, 100Mi)"}, "requests": {"cpu": "max(cpu, 50m) + 5m", "memory": "memory"}}),
        &["500m 1Gi 20m 1000Mi", "400m 2Gi 30m 10Mi"],
        &json!({"limits": {"cpu": "300m", "memory": "100Mi"}, "requests": {"cpu": "55m", "memory": "1000Mi"}}),
    );
    check(
        "max",
        &json!({"limits": {"cpu": "cpu*20%"}, "requests": {"cpu": "cpu*10%"}}),
        &["2 1Gi 1 1000Mi"],
        &json!({"limits": {"cpu": "400m"}, "requests": {"cpu": "100m"}}),
    );
    check("sum", &json!({"requests": {"memory": "memory*5%"}}), &["2 1Gi 1 1000Mi"], &json!({"requests": {"memory": "50Mi"}}));
    check(
        "sum",
        &json!({"limits": {"cpu": "cpu", "memory": "memory"}, "requests": {"cpu": "cpu"}}),
        &["10m 10Mi 10m 10Mi", "100m 100Mi 100m 100Mi"],
        &json!({"limits": {"cpu": "110m", "memory": "110Mi"}, "requests": {"cpu": "110m"}}),
    );
}

#[test]
fn a_limit_that_one_target_lacks_is_not_set_even_if_constant() {
    let sum = json!({"limits": {"cpu": "500m", "memory": "memory*50%"}, "requests": {"cpu": "100m", "memory": "memory"}});
    let max = json!({"limits": {"cpu": "cpu", "memory": "256Mi"}});
    let targets = ["1 1Gi 1 1Gi", "- 1Gi - 256Mi"];
    check("sum", &sum, &targets, &json!({"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1280Mi"}}));
    check("max", &max, &targets, &json!({"limits": {"memory": "256Mi"}}));
    check("sum", &sum, &["- - - -"], &json!({"requests": {"cpu": "100m", "memory": "0"}}));
    check("max", &max, &["- - - -"], &json!({}));
}

#[test]
fn absent_requests_count_as_zero() {
    check(
        "sum",
        &json!({"requests": {"cpu": "cpu*50%", "memory": "max(memory, 32Mi)"}}),
        &["- - - -"],
        &json!({"requests": {"cpu": "0", "memory": "32Mi"}}),
    );
    check(
        "max",
        &json!({"requests": {"cpu": "cpu + 10m", "memory": "memory"}}),
        &["- - - -"],
        &json!({"requests": {"cpu": "10m", "memory": "0"}}),
    );
    check("max", &json!({"requests": {"cpu": "", "memory": "memory"}}), &["- - - 0Mi"], &json!({"requests": {"memory": "0"}}));
    check("median", &json!({"limits": {"cpu": "1"}, "requests": {"cpu": "cpu+1"}}), &["1 1 1 1"], &json!({"requests": {"cpu": "1"}}));
}

#[test]
fn plain_numbers_become_thousandths_unless_memory_is_spoken_of() {
    for (expressions, want) in [
        (
            json!({"limits": {"cpu": "1/3", "memory": "1000"}, "requests": {"cpu": "50%", "memory": "2.5"}}),
            json!({"limits": {"cpu": "333m", "memory": "1k"}, "requests": {"cpu": "500m", "memory": "2500m"}}),
        ),
        (
            json!({"limits": {"cpu": "max(1, 2) * min(0.5, 3)", "memory": "128Mi"}, "requests": {"cpu": "1e-2"}}),
            json!({"limits": {"cpu": "1", "memory": "128Mi"}, "requests": {"cpu": "10m"}}),
        ),
        (json!({"limits": {"cpu": "Cpu + 5core", "memory": "memory + 100mb"}}), json!({"limits": {"cpu": "100m", "memory": "1Gi"}})),
        (json!({"limits": {"cpu": "100u + MAX(CPU, 50m)"}}), json!({"limits": {"cpu": "100m"}})),
        (json!({"limits": {"cpu": "1", "memory": "1"}}), json!({"limits": {"cpu": "1", "memory": "1"}})),
    ] {
        check("sum", &expressions, &["100m 1Gi 100m 1Gi"], &want);
    }
    let huge = resources("sum", &json!({"limits": {"cpu": "1e300"}}), &["1 1 1 1"]);
    assert_eq!(huge["limits"]["cpu"], Quantity::from_milli(i128::MAX, Format::DecimalSI).to_string());
}

#[test]
fn only_the_lower_case_word_memory_binds_memory() {
    for (text, want) in [
        ("memory", true),
        ("2*memory+1", true),
        ("memory2", false),
        ("xmemory", false),
        ("_memory", false),
        ("Memory", false),
        ("memoryx memory", true),
        ("émemory", true),
    ] {
        assert_eq!(speaks_of_memory(text), want, "{text}");
    }
}

#[test]
fn results_are_written_as_recorded() {
    for (cpu, memory, want_cpu, want_memory) in [
        ("cpu*29%", "memory*30%", "28m", "322122547200m"),
        ("1.005 + cpu", "memory*50%", "1104m", "512Mi"),
        ("2*cpu*10", "1.5Gi - memory", "2", "512Mi"),
        ("0.25", "0.5 * memory + max(0, memory - 0.25Gi)", "250m", "1280Mi"),
        ("(cpu + 1) / 3", "100M + memory", "366m", "1173741824"),
    ] {
        check(
            "max",
            &json!({"limits": {"cpu": cpu, "memory": memory}}),
            &["100m 1Gi 100m 1Gi"],
            &json!({"limits": {"cpu": want_cpu, "memory": want_memory}}),
        );
    }
    let untouched = json!({"limits": {"memory": "memory"}});
    check("max", &untouched, &["1 1.125 - -", "1 1125m - -"], &json!({"limits": {"memory": "1.125"}}));
    check("sum", &untouched, &["1 1.125 - -"], &json!({"limits": {"memory": "1125m"}}));
    check("sum", &untouched, &["1 0Mi - -", "1 1000M - -", "1 1Gi - -"], &json!({"limits": {"memory": "2073741824"}}));
}

#[test]
fn the_stories_of_the_reference_come_out_alike() {
    let two = ["200m 200Mi 50m 50Mi", "400m 400Mi 100m 100Mi"];
    let memory = json!("memory*50%");
    check(
        "sum",
        &json!({"limits": {"cpu": "cpu*50%", "memory": "200Mi"}, "requests": {"cpu": "cpu*50%", "memory": "100Mi"}}),
        &two,
        &json!({"limits": {"cpu": "300m", "memory": "200Mi"}, "requests": {"cpu": "75m", "memory": "100Mi"}}),
    );
    check(
        "max",
        &json!({"limits": {"cpu": "max(cpu*50%, 50m)", "memory": "200Mi"}, "requests": {"cpu": "max(cpu*50%, 50m)", "memory": "100Mi"}}),
        &two,
        &json!({"limits": {"cpu": "200m", "memory": "200Mi"}, "requests": {"cpu": "50m", "memory": "100Mi"}}),
    );
    check(
        "sum",
        &json!({"limits": {"cpu": "cpu", "memory": memory}, "requests": {"memory": memory}}),
        &["- 200Mi 50m 50Mi", "400m 400Mi - 100Mi"],
        &json!({"limits": {"memory": "300Mi"}, "requests": {"memory": "75Mi"}}),
    );
}

#[test]
fn errors_are_those_of_the_recorded_answers() {
    for (resource, expression, want) in [
        (
            "cpu",
            "cpu - 500m",
            r#"failed to evaluate CPU limits expression: failed to parse expression "cpu - 500m": calculation result is negative: -400m"#,
        ),
        (
            "cpu",
            "cpu*cpu",
            r#"failed to evaluate CPU limits expression: failed to parse expression "cpu*cpu": multiplication of two quantities"#,
        ),
        ("cpu", "1/cpu", r#"failed to evaluate CPU limits expression: failed to parse expression "1/cpu": division by quantity"#),
        (
            "memory",
            "MEMORY*50%",
            r#"failed to evaluate memory limits expression: failed to parse expression "MEMORY*50%": undefined variable: memory"#,
        ),
    ] {
        check("sum", &json!({"limits": {resource: expression}}), &["100m 1Gi 100m 1Gi"], &json!(want));
    }
    let want = r#"failed to evaluate CPU requests expression: failed to parse expression "gpu": undefined variable: gpu"#;
    check("max", &json!({"requests": {"cpu": "gpu"}}), &["- - - -"], &json!(want));
    check("sum", &json!({"limits": {"cpu": "max(cpu - 500m, -cpu + 150m)"}}), &["100m - 100m -"], &json!({"limits": {"cpu": "50m"}}));
    let none = policy("sum", "^main$", &json!({"limits": {"cpu": "cpu"}})).resources(&[]).expect_err("no target");
    assert_eq!(none.to_string(), r#"no containers match the regex pattern "^main$""#);
}

#[test]
fn names_are_searched_anywhere_with_classes_of_ascii() {
    for (pattern, name, want) in [
        ("web", "my-web", true),
        ("^web-[0-9]$", "web-1", true),
        ("^web-[0-9]$", "web-10", false),
        ("^(my-web|aux)$", "aux", true),
        ("^large.engine.v4$", "large-engine-v4", true),
        ("", "any", true),
        (r"^\w+$", "é", false),
        (r"^\pL+$", "é", true),
        (".*", "", true),
    ] {
        assert_eq!(policy("sum", pattern, &json!({})).is_target(name), Ok(want), "{pattern} {name}");
    }
}

#[test]
fn a_pattern_that_does_not_compile_fails_pods_alone() {
    let rule = policy("sum", "app[", &json!({"limits": {"cpu": "cpu"}}));
    let error = rule.is_target("app").expect_err("no regular expression");
    assert!(error.to_string().starts_with(r#"failed to get target containers: invalid regex pattern "app[": "#), "{error}");
    assert_eq!(rule.resources(&[]).expect_err("no regular expression"), error);
}
