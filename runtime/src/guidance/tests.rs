use super::*;

#[test]
fn text_and_files_go_both_ways() {
    for text in ["7.5", "0", "1", "7.5@0.1-0.8", "3@0-1"] {
        let guidance: Guidance = text.parse().unwrap();
        assert_eq!(guidance.to_string(), text);
        let json = serde_json::to_string(&guidance).unwrap();
        assert_eq!(serde_json::from_str::<Guidance>(&json).unwrap(), guidance, "{json}");
    }
    // A number in a file, as most have it.
    assert_eq!(serde_json::from_str::<Guidance>("7.5").unwrap(), Guidance::constant(7.5).unwrap());
    assert_eq!(serde_json::to_string(&Guidance::constant(7.5).unwrap()).unwrap(), "7.5");
    assert!(serde_json::from_str::<Guidance>("true").unwrap_err().to_string().contains("number or a text"));
}

#[test]
fn an_interval_has_both_its_ends() {
    let guidance = Guidance::interval(4.0, 0.25, 0.5).unwrap();
    let scales = [0.0, 0.2499, 0.25, 0.4, 0.5, 0.5001, 1.0].map(|t| guidance.scale_at(t));
    assert_eq!(scales, [1.0, 1.0, 4.0, 4.0, 4.0, 1.0, 1.0]);
    assert!(guidance.has_interval() && !guidance.is_none());
    assert!(Guidance::constant(1.0).unwrap().is_none());
    assert!(!Guidance::constant(0.0).unwrap().is_none(), "0 is the negative prompt alone");
}

#[test]
fn impossible_guidance_is_refused() {
    for text in [
        "",
        "x",
        "7,5",
        "-1",
        "1001",
        "NaN",
        "inf",
        "7@",
        "7@0.1",
        "7@0.5-0.1",
        "7@-0.1-0.5",
        "7@0-1.1",
        "7@0-NaN",
        "@0-1",
    ] {
        let error = text.parse::<Guidance>().unwrap_err().to_string();
        assert!(error.contains("guidance"), "{text}: {error}");
    }
    assert!(Guidance::constant(f32::NAN).is_err());
    assert!(Guidance::interval(2.0, f64::NAN, 1.0).is_err());
}
