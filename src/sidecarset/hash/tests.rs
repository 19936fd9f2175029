use proptest::prelude::*;
use serde_json::json;

use super::*;

fn spec(value: Value) -> SidecarSetSpec {
    serde_json::from_value(value).unwrap()
}

fn plain() -> Value {
    json!({"name": "container1", "image": "test-image"})
}

fn native() -> Value {
    json!({"name": "container1", "image": "test-image", "restartPolicy": "Always"})
}

fn defaulted(name: &str, image: &str, more: Value) -> Value {
    let mut container = json!({
        "shareVolumePolicy": {"type": "disabled"}, "upgradeStrategy": {"upgradeType": "ColdUpgrade"}, "podInjectPolicy": "BeforeAppContainer",
        "imagePullPolicy": "IfNotPresent", "terminationMessagePolicy": "File", "terminationMessagePath": "/dev/termination-log",
        "image": image, "name": name,
    });
    if let Value::Object(more) = more {
        container.as_object_mut().unwrap().extend(more);
    }
    json!({"containers": [container]})
}

#[test]
fn hashes_are_those_of_the_reference() {
    let policy = json!({"targetContainersMode": "sum", "targetContainersNameRegex": ".*", "resourcesExpr": {"limits": {"cpu": "max(cpu*50%, 50m)"}}});
    for (value, want) in [
        (json!({"containers": [plain()]}), "w26c4x8fz245642fdv499b464248f974xddx4x55z5dw55bc6x66464fxz77dc78"),
        (json!({"containers": [plain()], "initContainers": [plain()]}), "w26c4x8fz245642fdv499b464248f974xddx4x55z5dw55bc6x66464fxz77dc78"),
        (
            json!({"containers": [plain()], "initContainers": [native()]}),
            "4xwx4d4844vd4v9x79wb4xbxf4xb29475cc4446v8cz2c2f2f5c5bw448vd42z8w",
        ),
        (defaulted("dns-f", "dns:1.0", Value::Null), "6wbd76bd7984x24fb4f44fv9222cw9v9bcf85x766744wddd4zwx927zzz2zb684"),
        (
            defaulted("s", "busybox:1.36", json!({"command": ["sh", "-c", "a && b > c"]})),
            "2b7492x4x6524774w5275w6f7968cc5289vdw78z279zf4fw49488c84c25f9767",
        ),
        (
            defaulted("s", "busybox:1.36", json!({"resourcesPolicy": policy})),
            "z59b4fwc4w6cbx9b7b7cwvvc22vdxzb7dd576d2wzfcz6c7df992cw8v4c4x787z",
        ),
        (json!({}), "x5vwx9w6vv4dv72c9w4c2f6v74fbwx545b45bbfz6z2dvf8w887xw86fvcb4cf48"),
        (json!({"containers": null}), "x5vwx9w6vv4dv72c9w4c2f6v74fbwx545b45bbfz6z2dvf8w887xw86fvcb4cf48"),
        (json!({"containers": []}), "5662x672v59974vdzvf4bdfwc4v526wx5w7884vx5c7fc2f246v484v5988xb9z7"),
    ] {
        assert_eq!(hash(&spec(value.clone())), want, "{}", hashed_text(&spec(value), false));
    }
}

#[test]
fn hashes_without_image_are_those_of_the_reference() {
    for (value, want) in [
        (json!({"containers": [plain()]}), "8wzddb4dvv9c6x8zdc77z4z75987424f457dfv6724ddw6zbdx467wz5x24fc759"),
        (
            json!({"containers": [plain()], "initContainers": [native()]}),
            "5725fw8bwbx249bw57v5892c847dzf48bww9zb7c86xb95264fdz26654847b2c8",
        ),
        (defaulted("dns-f", "dns:1.0", Value::Null), "82684vwf9d4cb4wz4vffx4ddfbb47ww4z4wwxdbwb8w2zbb7zvf4524cdd49bv94"),
        (
            defaulted("s", "busybox:1.36", json!({"command": ["sh", "-c", "a && b > c"]})),
            "fz9vvx4v88vwwf8z24zfw2x7cz66w9495wwv87c25vx6f2b4f7cxdc87vd8vv786",
        ),
    ] {
        assert_eq!(hash_without_image(&spec(value.clone())), want, "{}", hashed_text(&spec(value), true));
    }
}

#[test]
fn members_come_in_the_order_of_the_reference_and_unknown_ones_not_at_all() {
    let container = json!({
        "color": "blue", "tty": true, "stdin": false, "image": "", "name": "a",
        "env": [{"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}, "fileKeyRef": {}}, "name": "E", "value": ""}],
        "resources": {"limits": {"memory": "1Gi", "cpu": "2"}, "requests": {}},
        "livenessProbe": {"grpc": {"port": 1}, "httpGet": {"port": "http"}, "timeoutSeconds": 0},
        "securityContext": {"privileged": false, "runAsUser": 0}, "lifecycle": null, "ports": [{"containerPort": 80, "hostPort": 0}],
        "shareVolumeDevicePolicy": {}, "transferEnv": [{"sourceContainerNameFrom": {"fieldRef": {"fieldPath": "p"}}, "envNames": ["b", "a"]}],
    });
    let want = concat!(
        r#"{"containers":[{"name":"a","ports":[{"containerPort":80}],"#,
        r#""env":[{"name":"E","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"0"}}}],"#,
        r#""resources":{"limits":{"cpu":"2","memory":"1Gi"}},"livenessProbe":{"httpGet":{"port":"http"},"grpc":{"port":1,"service":null}},"#,
        r#""securityContext":{"privileged":false,"runAsUser":0},"tty":true,"upgradeStrategy":{},"shareVolumePolicy":{},"shareVolumeDevicePolicy":{},"#,
        r#""transferEnv":[{"sourceContainerNameFrom":{"fieldRef":{"fieldPath":"p"}},"envNames":["b","a"]}]}]}"#,
    );
    assert_eq!(hashed_text(&spec(json!({"containers": [container]})), false), want);
}

proptest! {
    #[test]
    fn the_image_changes_only_the_hash_with_images(one in "[a-z]{1,8}", other in "[0-9]{1,8}") {
        let [one, other] = [one, other].map(|image| spec(defaulted("a", &image, Value::Null)));
        prop_assert_ne!(hash(&one), hash(&other));
        prop_assert_eq!(hash_without_image(&one), hash_without_image(&other));
    }

    #[test]
    fn the_order_of_members_does_not_count(order in Just(vec!["name", "image", "tty", "command", "workingDir"]).prop_shuffle()) {
        let value = |name: &str| match name { "tty" => json!(true), "command" => json!(["a"]), _ => json!(name) };
        let shuffled: Map<String, Value> = order.iter().map(|name| ((*name).to_owned(), value(name))).collect();
        let straight = json!({"name": "name", "image": "image", "command": ["a"], "workingDir": "workingDir", "tty": true});
        prop_assert_eq!(hash(&spec(json!({"containers": [shuffled]}))), hash(&spec(json!({"containers": [straight]}))));
    }
}
