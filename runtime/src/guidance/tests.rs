use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[test]
fn an_interval_includes_its_ends() {
    let guidance = Guidance::interval(7.5, 0.1, 0.8).unwrap();
    let below = f64::from_bits(0.1f64.to_bits() - 1);
    let above = f64::from_bits(0.8f64.to_bits() + 1);
    let scales = [0.0, below, 0.1, 0.5, 0.8, above, 1.0].map(|t| guidance.scale_at(t));
    assert_eq!(scales, [1.0, 1.0, 7.5, 7.5, 7.5, 1.0, 1.0]);
    let constant = Guidance::constant(3.0).unwrap();
    assert_eq!([0.0, 0.5, 1.0].map(|t| constant.scale_at(t)), [3.0; 3]);
    assert!(!guidance.is_none() && !constant.is_none());
    assert!(guidance.has_interval() && !constant.has_interval());
    assert!(Guidance::constant(1.0).unwrap().is_none());
    assert!(Guidance::interval(1.0, 0.0, 0.5).unwrap().is_none());
}

#[test]
fn text_goes_both_ways() {
    for text in ["7.5", "0", "1000", "7.5@0.1-0.8", "3@0-1", "0.1@0.25-0.3333333333333333"] {
        assert_eq!(text.parse::<Guidance>().unwrap().to_string(), text);
    }
    assert_eq!("7.5@0.1-0.8".parse(), Guidance::interval(7.5, 0.1, 0.8));
    assert_eq!(serde_json::to_string(&Guidance::constant(7.5).unwrap()).unwrap(), "7.5");
    // Zeros with a sign would not be read back.
    assert_eq!(Guidance::interval(-0.0, -0.0, 0.5).unwrap().to_string(), "0@0-0.5");
}

#[derive(Debug, Deserialize, Serialize, PartialEq)]
struct File {
    guidance: Guidance,
}

#[test]
fn files_hold_a_number_or_a_text() {
    for (value, want) in [("7.5", "7.5"), ("7", "7"), ("\"7.5\"", "7.5"), ("\"7.5@0.1-0.8\"", "7.5@0.1-0.8")]
    {
        let want = File { guidance: want.parse().unwrap() };
        let read = toml::from_str::<File>(&format!("guidance = {value}")).unwrap();
        assert_eq!(read, want);
        assert_eq!(serde_json::from_str::<File>(&format!("{{\"guidance\": {value}}}")).unwrap(), want);
        assert_eq!(toml::from_str::<File>(&toml::to_string(&want).unwrap()).unwrap(), want);
    }
    for (value, says) in [
        ("nan", "0 to 1000"),
        ("-1", "0 to 1000"),
        ("1e300", "0 to 1000"),
        ("true", "must be a number or a text"),
        ("[7.5]", "must be a number or a text"),
        ("\"strong\"", "for example 7.5"),
    ] {
        let error = toml::from_str::<File>(&format!("guidance = {value}")).unwrap_err().to_string();
        assert!(error.contains(says), "{value}: {error}");
    }
}

#[test]
fn bad_text_says_what_to_write() {
    for (text, says) in [
        ("", "for example"),
        ("x", "for example"),
        ("7,5", "for example"),
        ("7.5@", "for example"),
        ("7.5@0.1", "for example"),
        ("@0.1-0.8", "for example"),
        ("7.5@0.1-0.8-0.9", "for example"),
        ("7.5@1e-3-0.8", "plain decimals"),
        ("7.5@-0.1-0.8", "for example"),
        ("nan", "from 0 to 1000"),
        ("inf", "from 0 to 1000"),
        ("-0.5", "from 0 to 1000"),
        ("1000.1", "from 0 to 1000"),
        ("7.5@0.8-0.1", "end after it begins"),
        ("7.5@0.5-0.5", "end after it begins"),
        ("7.5@0-1.01", "within 0 and 1"),
        ("7.5@nan-0.5", "within 0 and 1"),
        ("7.5@0-inf", "within 0 and 1"),
    ] {
        let error = text.parse::<Guidance>().unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_guidance_that_prints_as_itself_or_an_error(
        text in "[0-9]{1,3}(\\.[0-9]{0,3})?(@[0-9.e]{0,5}-[0-9.e]{0,5})?|\\PC{0,12}"
    ) {
        if let Ok(guidance) = text.parse::<Guidance>() {
            prop_assert_eq!(guidance.to_string().parse(), Ok(guidance));
        }
    }

    #[test]
    fn any_guidance_survives_its_text(scale in 0.0f32..=1000.0, a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
        prop_assume!(a != b);
        let guidance = Guidance::interval(scale, a.min(b), a.max(b)).unwrap();
        prop_assert_eq!(guidance.to_string().parse(), Ok(guidance));
    }
}
