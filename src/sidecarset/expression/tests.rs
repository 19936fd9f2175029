use proptest::prelude::*;

use super::*;

fn quantity(text: &str) -> Value {
    Value::Quantity(Quantity::parse(text).expect(text))
}

/// The result's text, with `cpu` being the given quantity.
fn with_cpu(expression: &str, cpu: &str) -> String {
    evaluate(expression, "cpu", &quantity(cpu)).map_or_else(|error| error.to_string(), |value| value.to_string())
}

fn with_memory(expression: &str, memory: &str) -> String {
    evaluate(expression, "memory", &quantity(memory)).map_or_else(|error| error.to_string(), |value| value.to_string())
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (expression, want) in cases {
        assert_eq!(with_cpu(expression, "100m"), *want, "{expression}");
    }
}

#[test]
fn numbers_are_computed_as_numbers() {
    check(&[
        ("42", "42"),
        ("3.14", "3.14"),
        ("50%", "0.5"),
        ("100.5%", "1.005"),
        ("2+3", "5"),
        ("10-4", "6"),
        ("3*4", "12"),
        ("15/3", "5"),
        ("2+3*4", "14"),
        ("(2+3)*4", "20"),
        ("20-5-3", "12"),
        ("64/4/2", "8"),
        ("100% * 2", "2"),
        ("max(1, 2)", "2"),
        ("min(1, 2)", "1"),
        ("1e2", "100"),
        ("1E2", "100"),
        ("min(max(0.2, 0.5), 0.75)", "0.5"),
        ("10+-5", "5"),
        ("10--5", "15"),
        ("20+-10+5", "15"),
        ("---5+10", "5"),
        ("1e3", "1000"),
        ("1e+3", "1000"),
        ("1e-3", "0.001"),
        ("1.5e2", "150"),
        ("2.5E+1", "25"),
        ("1e3+2e2", "1200"),
        ("1e3+-200", "800"),
        (".5 + .5", "1"),
        ("1.5+2", "3.5"),
    ]);
}

#[test]
fn blanks_letter_case_and_size_of_numbers_do_not_matter() {
    check(&[
        ("20-10", "10"),
        ("10-10", "0"),
        ("\t1\n+ 2\r\n", "3"),
        ("1e308", "1e+308"),
        ("1e-300", "1e-300"),
        ("1e6", "1e+06"),
        ("0.00001", "1e-05"),
        ("MAX(1, mIn(3, 2))", "2"),
        ("5\u{0}6", "5"),
    ]);
}

#[test]
fn quantities_keep_their_units() {
    check(&[
        ("40m+20m", "60m"),
        ("100Mi-50Mi", "50Mi"),
        ("2*40m", "80m"),
        ("100m/2", "50m"),
        ("max(40m, 20)", "20"),
        ("min(40m, 20m)", "20m"),
        ("max(min(500m, 1), 100m)", "500m"),
        ("0m+0m", "0"),
        ("1000Gi+500Gi", "1500Gi"),
        ("1.5Gi*2", "3Gi"),
        ("1Gi+100Mi", "1124Mi"),
        (".5Mi", "512Ki"),
        ("10m", "10m"),
        ("1k", "1k"),
        ("1M", "1M"),
        ("1G", "1G"),
        ("1T", "1T"),
        ("1P", "1P"),
        ("1Ki", "1Ki"),
        ("1Mi", "1Mi"),
        ("1Gi", "1Gi"),
        ("1Ti", "1Ti"),
        ("1Pi", "1Pi"),
        ("1.005+100m", "1104m"),
        ("100M + 1Gi", "1173741824"),
        ("1Gi + 100M", "1173741824"),
        ("0 + 1Gi", "1Gi"),
        ("0m + 1Gi", "1Gi"),
        ("1Gi*0.3", "322122547200m"),
        ("1.5 + 1Ki", "1025500m"),
    ]);
}

#[test]
fn products_and_quotients_are_cut_to_thousandths() {
    check(&[
        ("cpu*29%", "28m"),
        ("cpu*57%", "56m"),
        ("cpu/3", "33m"),
        ("cpu*0.001", "0"),
        ("cpu*50%", "50m"),
        ("2*cpu*10", "2"),
        ("(cpu + 1) / 3", "366m"),
        ("1.005 + cpu", "1104m"),
        ("-cpu/3 + 100m", "67m"),
    ]);
    assert_eq!(with_cpu("cpu*1", "1u"), "1m");
}

#[test]
fn the_variable_takes_part() {
    for (expression, cpu, want) in [
        ("cpu", "1.125", "1.125"),
        ("--cpu", "1.125", "1125m"),
        ("max(cpu, 200m)", "100m", "200m"),
        ("max(0.25,cpu)", "100m", "250m"),
        ("max(cpu,0.75)", "500m", "750m"),
        ("min(0.8,cpu)", "1", "800m"),
        ("min(cpu,1.5)", "2", "1500m"),
        ("CPU + Cpu", "1", "2"),
        ("max(min(2*cpu,-cpu+3.0),2*cpu-3.0)", "1500m", "1500m"),
        ("max(cpu - 500m, -cpu + 150m)", "100m", "50m"),
        ("max(cpu - 500m, -cpu + 150m)", "600m", "100m"),
        ("cpu*50%", "0", "0"),
        ("max(cpu, 50m) + 5m", "30m", "55m"),
    ] {
        assert_eq!(with_cpu(expression, cpu), want, "{expression}");
    }
    for (expression, memory, want) in [
        ("memory+100Mi", "200Mi", "300Mi"),
        ("memory*30%", "1Gi", "322122547200m"),
        ("memory*50%", "1Gi", "512Mi"),
        ("0.5 * memory + max(0, memory-2Gi)", "8Gi", "10Gi"),
        ("memory*10% + 20Mi", "1536Mi", "182032793600m"),
        ("1.5Gi - memory", "1Gi", "512Mi"),
        ("0.5 * memory + max(0, memory - 0.25Gi)", "1Gi", "1280Mi"),
        ("100M + memory", "1Gi", "1173741824"),
        ("max(memory*20%+100Mi,200Mi)", "800Mi", "260Mi"),
        ("Max(MEMORY, 1Mi)", "1Gi", "1Gi"),
        ("min(memory, 100Mi)", "2Gi", "100Mi"),
    ] {
        assert_eq!(with_memory(expression, memory), want, "{expression}");
    }
    assert_eq!(evaluate("cpu*cpu", "cpu", &Value::Number(3.0)), Ok(Value::Number(9.0)));
}

#[test]
fn of_equals_the_first_is_taken_with_its_spelling() {
    check(&[
        ("max(1000m, 1)", "1"),
        ("max(1024, 1Ki)", "1024"),
        ("max(1Ki, 1024)", "1Ki"),
        ("min(1024, 1Ki)", "1024"),
        ("min(1Ki, 1024)", "1Ki"),
        ("max(1.024k, 1Ki)", "1.024k"),
        ("max(+5, 1)", "parse error: syntax error at line 1, col 6"),
        ("max(1.125k, 1)", "1.125k"),
    ]);
}

#[test]
fn numbers_that_cannot_be_read_count_as_zero() {
    for unreadable in ["5core", "100u", "1E", "1e", "1e+", "50%m", "5%5", "1Zi", "100mb", ".", "5µ", "1e999%", "0x"] {
        assert_eq!(evaluate(unreadable, "cpu", &Value::Number(1.0)), Ok(Value::Number(0.0)), "{unreadable}");
        assert_eq!(with_cpu(&format!("{unreadable} + cpu"), "100m"), "100m", "{unreadable}");
    }
}

#[test]
fn errors_of_form_say_where_reading_stopped() {
    for (expression, line, column) in [
        ("", 1, 1),
        (" ", 1, 2),
        ("(cpu", 1, 5),
        ("cpu +", 1, 6),
        ("+cpu", 1, 2),
        ("cpu 2", 1, 6),
        ("cpu @ 2", 1, 6),
        ("cpu;", 1, 5),
        ("()", 1, 3),
        ("min()", 1, 6),
        ("max(1,2,3)", 1, 9),
        ("max(,)", 1, 6),
        ("1..5m", 1, 6),
        ("5..5", 1, 5),
        ("5%%", 1, 4),
        ("1e3e2", 1, 6),
        ("1eKi", 1, 5),
        ("2 + @", 1, 6),
        ("(2 + 3", 1, 7),
        ("5%e", 1, 4),
        ("1 *\n* 2", 2, 2),
        ("é", 1, 3),
        ("1Ei", 1, 4),
        ("max(1,)", 1, 8),
        ("5m5", 1, 4),
    ] {
        let want = if expression == "é" {
            ExpressionError::UndefinedVariable("\u{fffd}".into())
        } else {
            ExpressionError::Syntax { line, column }
        };
        assert_eq!(evaluate(expression, "cpu", &quantity("1")), Err(want), "{expression}");
    }
}

#[test]
fn errors_of_meaning_go_before_errors_of_form_and_the_last_one_counts() {
    check(&[
        ("memory*2", "undefined variable: memory"),
        ("GPU", "undefined variable: gpu"),
        ("avg(cpu, 1)", "unknown function: avg"),
        ("Avg(1)", "unknown function: Avg"),
        ("max(cpu)", "max function requires exactly 2 arguments, got 1"),
        ("invalid", "undefined variable: invalid"),
        ("MIN(1)", "min function requires exactly 2 arguments, got 1"),
        ("10/0", "division by zero"),
        ("cpu/0", "division by zero"),
        ("cpu/(1-1)", "division by zero"),
        ("40m*2m", "multiplication of two quantities"),
        ("2/40m", "division by quantity"),
        ("cpu*cpu", "multiplication of two quantities"),
        ("1/cpu", "division by quantity"),
        ("max(1, 2/0)", "division by zero"),
        ("max(unknown(1), 2)", "unknown function: unknown"),
        ("gpu + 10/0", "division by zero"),
        ("10/0 + gpu", "undefined variable: gpu"),
        ("foo(gpu)", "unknown function: foo"),
        ("max(gpu)", "max function requires exactly 2 arguments, got 1"),
        ("gpu @", "undefined variable: gpu"),
        ("max(gpu,2,3)", "undefined variable: gpu"),
        ("cpu/0 )", "division by zero"),
        ("-gpu", "undefined variable: gpu"),
        ("1e3m", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ]);
}

#[test]
fn only_the_final_value_must_not_be_negative() {
    check(&[
        ("cpu - 500m", "calculation result is negative: -400m"),
        ("-10", "calculation result is negative: -10"),
        ("-100m", "calculation result is negative: -100m"),
        ("10-20", "calculation result is negative: -10"),
        ("50m-100m", "calculation result is negative: -50m"),
        ("-1e21", "calculation result is negative: -1e+21"),
        ("max(cpu-2, 1)", "1"),
        ("-(-cpu)", "100m"),
        ("cpu-100m", "0"),
    ]);
    assert_eq!(evaluate("memory-100Mi", "memory", &Value::Number(1.0)), Err(ExpressionError::Negative("-104857599".into())));
    assert_eq!(evaluate("cpu-2", "cpu", &Value::Number(1.0)), Err(ExpressionError::Negative("-1".into())));
}

#[test]
fn deep_expressions_are_refused_and_long_ones_are_not() {
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(evaluate(&deep, "cpu", &quantity("1")), Err(ExpressionError::TooDeep));
    assert_eq!(evaluate(&"max(1,".repeat(100_000), "cpu", &quantity("1")), Err(ExpressionError::TooDeep));
    let nested = format!("{}1{}", "(".repeat(100), ")".repeat(100));
    assert_eq!(evaluate(&nested, "cpu", &quantity("1")), Ok(Value::Number(1.0)));
    assert_eq!(evaluate(&format!("{}1", "-".repeat(100_000)), "cpu", &quantity("1")), Ok(Value::Number(1.0)));
    assert_eq!(evaluate(&format!("1{}", "+1".repeat(100_000)), "cpu", &quantity("1")), Ok(Value::Number(100_001.0)));
}

proptest! {
    #[test]
    fn no_text_breaks_the_evaluator(text in ".*", likely in "([0-9.%eE+*/() ,-]|cpu|max|min|m|Ki){0,30}") {
        for expression in [text, likely] {
            let _ = evaluate(&expression, "cpu", &quantity("100m"));
        }
    }
}
