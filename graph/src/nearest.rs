//! Names that a misspelt one may have meant.

/// The candidate nearest to a misspelt name, without regard to case, if one is near: up to three letters away.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&candidate.to_ascii_lowercase(), &name), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, on names cut to 64 characters so that a hostile name costs nothing.
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let names = ["device", "model", "memory_limit"];
        for (name, expected) in [("devices", "device"), ("Modle", "model"), ("memory-limit", "memory_limit")]
        {
            assert_eq!(nearest(name, names), Some(expected));
        }
        for name in ["solver_tolerance", "größe", &"x".repeat(100_000)] {
            assert_eq!(nearest(name, names), None);
        }
    }
}
