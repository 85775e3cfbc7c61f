//! `kinograph inspect` and `kinograph devices`.

use std::collections::HashSet;
use std::process::Command;

use serde_json::Value;

use crate::folder::{Folder, text};

#[test]
fn inspect_shows_components_and_ops() {
    let folder = Folder::new();
    let overview = text(&folder.succeed(&["inspect"]).stdout);
    for word in ["text-t5", "text-clip", "text-byte", "backbone", "decoder", "encoder", "parameters"] {
        assert!(overview.contains(word), "{word}:\n{overview}");
    }
    let backbone = text(&folder.succeed(&["inspect", "backbone"]).stdout);
    assert!(backbone.contains("blocks.7.self_attention"), "{backbone}");
    assert!(backbone.contains("Attention 16"), "{backbone}");
    for output in [&[][..], &["--json"], &["--dot"]] {
        let message = folder.fail(1, &[&["inspect", "nothing"][..], output].concat());
        assert!(message.contains("this model has text-t5"), "{message}");
    }
    folder.fail(2, &["inspect", "--json", "--dot"]);
    folder.fail(2, &["inspect", "--weights"]);
}

#[test]
fn inspect_as_json_says_what_the_table_says() {
    let folder = Folder::new();
    let overview = folder.json(&["inspect", "--json"]);
    let table = text(&folder.succeed(&["inspect"]).stdout);
    let components = overview["components"].as_array().unwrap();
    let sum: u64 = components.iter().map(|c| c["parameters"].as_u64().unwrap()).sum();
    assert_eq!(overview["parameters"].as_u64(), Some(sum));
    for component in components {
        let (name, parameters) = (component["component"].as_str().unwrap(), component["parameters"].as_u64());
        let start = format!("{name:<12} {:>12} ", parameters.unwrap());
        assert!(table.lines().any(|line| line.starts_with(&start)), "{start}\n{table}");
    }
    assert_eq!(overview["name"], "flipbook");
    assert_eq!(overview["video"]["fps_choices"], serde_json::json!([8, 16]));
    assert_eq!(overview["sampler"]["solver"], "euler");
}

#[test]
fn a_component_as_json_is_a_graph_in_running_order() {
    let folder = Folder::new();
    let component = folder.json(&["inspect", "backbone", "--json"]);
    let values = component["values"].as_array().unwrap();
    let nodes = component["nodes"].as_array().unwrap();
    assert_eq!(component["node_count"].as_u64(), Some(nodes.len() as u64));
    let mut made: HashSet<usize> = (0..values.len()).filter(|&i| values[i]["source"] != "node").collect();
    for node in nodes {
        let ids =
            |key: &str| node[key].as_array().unwrap().iter().filter_map(Value::as_u64).map(|i| i as usize);
        assert!(ids("inputs").all(|i| made.contains(&i)), "{node}");
        assert!(ids("outputs").all(|i| made.insert(i)), "{node}");
    }
    assert_eq!(made.len(), values.len(), "every value has a source");
    let parameters = values
        .iter()
        .filter(|v| v["source"] == "weight")
        .map(|v| v["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product::<u64>());
    assert_eq!(component["parameters"].as_u64(), Some(parameters.sum()));
}

#[test]
fn dot_declares_what_its_edges_join() {
    let folder = Folder::new();
    let all = folder.json(&["inspect", "--json"]);
    let node_count = |c: &Value| c["node_count"].as_u64().unwrap() as usize;
    let total = all["components"].as_array().unwrap().iter().map(node_count).sum();
    let decoder = folder.json(&["inspect", "decoder", "--json"]);
    let weights = decoder["values"].as_array().unwrap().iter().filter(|v| v["source"] == "weight").count();
    let cases: [(&[&str], usize, usize); 3] = [
        (&["inspect", "--dot"], total, 0),
        (&["inspect", "decoder", "--dot"], node_count(&decoder), 0),
        (&["inspect", "decoder", "--dot", "--weights"], node_count(&decoder), weights),
    ];
    for (arguments, ops, weights) in cases {
        let graph = text(&folder.succeed(arguments).stdout);
        let statements = statements(&graph);
        let declared: HashSet<&str> = statements.iter().filter(|s| s.len() == 1).map(|s| s[0]).collect();
        let edges: Vec<_> = statements.iter().filter(|s| s.len() == 2).collect();
        assert!(edges.iter().all(|ends| ends.iter().all(|end| declared.contains(end))), "{arguments:?}");
        assert_eq!(declared.iter().filter(|id| id.contains("_n")).count(), ops, "{arguments:?}");
        assert_eq!(graph.matches("shape=note").count(), weights, "{arguments:?}");
        assert!(edges.len() >= ops, "every op reads something");
        folder.write("graph.dot", graph);
        if Command::new("dot").arg("-V").output().is_ok() {
            let drawn = folder.tool("dot", &["-Tplain", "graph.dot"]).output().unwrap();
            assert!(drawn.status.success(), "{arguments:?}: {}", text(&drawn.stderr));
        }
    }
}

/// The statements of a digraph about nodes (one id) and edges (two). Braces, brackets and quotes must balance.
fn statements(text: &str) -> Vec<Vec<&str>> {
    let (mut depth, mut quoted, mut escaped) = (Vec::new(), false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth.push(c),
            '}' if !quoted => assert_eq!(depth.pop(), Some('{')),
            ']' if !quoted => assert_eq!(depth.pop(), Some('[')),
            _ => {}
        }
    }
    assert!(depth.is_empty() && !quoted);
    let attributed = text.lines().filter_map(|line| line.trim().split_once(" [")).map(|(ids, _)| ids);
    let ours = attributed.filter(|ids| !["graph", "node", "edge"].contains(ids));
    ours.map(|ids| ids.split(" -> ").collect()).collect()
}

#[test]
fn devices_marks_the_one_that_the_configuration_chooses() {
    let folder = Folder::new();
    let list = |arguments: &[&str]| text(&folder.succeed(arguments).stdout);
    let devices = list(&["devices"]);
    assert!(devices.starts_with("cpu  ") && devices.contains("[chosen: default]"), "{devices}");
    assert!(devices.contains("    simd: "), "{devices}");
    folder.write("kinograph.toml", "device = \"gpu9\"");
    let message = "the chosen device `gpu9` (kinograph.toml:1) is not among them";
    assert!(list(&["devices"]).contains(message));
    assert!(list(&["devices", "--device", "cpu"]).contains("[chosen: --device]"));

    let chosen = |arguments: &[&str]| folder.json(arguments)["devices"][0]["chosen"].as_bool();
    assert_eq!(chosen(&["devices", "--json"]), Some(false));
    assert_eq!(chosen(&["devices", "--json", "--device", "cpu"]), Some(true));
    let cpu = &folder.json(&["devices", "--json"])["devices"][0];
    assert_eq!(cpu["id"], "cpu");
    assert!(cpu["facts"]["threads"].as_str().unwrap().parse::<usize>().is_ok(), "{cpu}");
}
