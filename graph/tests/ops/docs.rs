//! docs/ops.md is what the op table says.

use std::path::Path;

#[test]
fn the_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ops.md");
    let page = kinograph_graph::ops::markdown();
    if std::env::var_os("KINOGRAPH_BLESS").is_some() {
        std::fs::write(&path, &page).expect("docs/ops.md can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(
        written == page,
        "docs/ops.md is stale; KINOGRAPH_BLESS=1 cargo test -p kinograph-graph --test ops writes it anew"
    );
}
