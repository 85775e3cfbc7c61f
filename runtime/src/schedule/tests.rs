use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const EMULATE_250: Schedule = Schedule::LinearQuadratic { linear_steps_of: 250 };

fn assert_near(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-12, "{got} is not {want}");
}

/// All 51 of Movie Gen's times; with a = 0.00128 they are whole multiples of 1e-5.
#[test]
fn movie_gen_numbers() {
    let t = EMULATE_250.times(50).unwrap();
    for (i, got) in (0u32..).zip(&t) {
        let k = i.saturating_sub(25);
        let units = 400 * i.min(25) + 400 * k + 128 * k * k;
        assert_near(*got, f64::from(units) / 1e5);
    }
    for (i, want) in [(25, 0.1), (26, 0.10528), (30, 0.152), (49, 0.93328)] {
        assert_near(t[i], want);
    }
    assert_eq!((t.len(), t[0], t[50]), (51, 0.0, 1.0));
}

#[test]
fn shifted_by_hand() {
    let t = Schedule::Shifted { shift: 3.0 }.times(4).unwrap();
    assert_eq!(t, [0.0, 0.1, 0.25, 0.5, 1.0]);
    assert_eq!(Schedule::Shifted { shift: 1.0 }.times(7), Schedule::Linear.times(7));
}

/// Against the formula on the noise level, as it is published.
#[test]
fn shifted_moves_the_noise_level() {
    for shift in [0.5, 3.0, 7.0, 17.0] {
        let t = Schedule::Shifted { shift }.times(50).unwrap();
        for (i, got) in (0u32..).zip(t) {
            let sigma = 1.0 - f64::from(i) / 50.0;
            assert_near(got, 1.0 - shift * sigma / (1.0 + (shift - 1.0) * sigma));
        }
    }
}

#[test]
fn a_list_is_itself() {
    let schedule: Schedule = "explicit:0, 0.25,0.5, 1".parse().unwrap();
    assert_eq!(schedule, Schedule::Explicit(vec![0.0, 0.25, 0.5, 1.0]));
    assert_eq!(schedule.steps(), Some(3));
    assert_eq!(schedule.times(3).unwrap(), [0.0, 0.25, 0.5, 1.0]);
    let error = schedule.times(50).unwrap_err();
    assert_eq!(error, ScheduleError::FixedSteps { asked: 50, fixed: 3 });
    assert!(error.to_string().contains("list of 4 times makes 3: leave out"), "{error}");
    assert!(
        [Schedule::Linear, EMULATE_250, Schedule::Shifted { shift: 3.0 }].iter().all(|s| s.steps().is_none())
    );
    let negative: Schedule = "explicit:-0,1".parse().unwrap();
    assert!(negative.times(1).unwrap()[0].is_sign_positive());
}

#[test]
fn schedules_that_text_could_not_name_are_refused() {
    for shift in [0.0, -1.0, 1e-3, 101.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(Schedule::Shifted { shift }.times(2), Err(ScheduleError::BadShift(_))), "{shift}");
    }
    for times in [vec![], vec![0.0], vec![0.0, 0.5], vec![0.0, f64::NAN, 1.0], vec![0.0, 1.0, 1.0]] {
        let schedule = Schedule::Explicit(times);
        for steps in 0..4 {
            assert!(schedule.times(steps).is_err(), "{schedule} {steps}");
        }
    }
}

#[test]
fn odd_counts_round_the_linear_part_down() {
    // S = 5, N = 250: L = 2, Q = 3, a = 0.98 / 9.
    let t = EMULATE_250.times(5).unwrap();
    let a = 0.98 / 9.0;
    for (got, want) in t.iter().zip([0.0, 0.004, 0.008, 0.012 + a, 0.016 + 4.0 * a, 1.0]) {
        assert_near(*got, want);
    }
    // S = 3, N = 4: L = 1, Q = 2, a = 1/16.
    let t = Schedule::LinearQuadratic { linear_steps_of: 4 }.times(3).unwrap();
    assert_eq!(t, [0.0, 0.25, 0.5625, 1.0]);
}

#[test]
fn one_step_jumps_to_the_end() {
    for schedule in [Schedule::Linear, EMULATE_250, Schedule::LinearQuadratic { linear_steps_of: 1 }] {
        assert_eq!(schedule.times(1).unwrap(), [0.0, 1.0]);
    }
}

#[test]
fn every_count_rises_from_zero_to_one() {
    let all =
        ["linear", "linear-quadratic", "linear-quadratic:1000", "shifted:3", "shifted:0.01", "shifted:100"];
    for schedule in all.map(|text| text.parse::<Schedule>().unwrap()) {
        for steps in (1..=250).chain([MAX_STEPS]) {
            if matches!(schedule, Schedule::LinearQuadratic { .. }) && steps == MAX_STEPS {
                continue;
            }
            let t = schedule.times(steps).unwrap();
            assert_eq!((t.len(), t[0], t[steps]), (steps + 1, 0.0, 1.0));
            assert!(t.windows(2).all(|w| w[0] < w[1]), "{schedule} {steps}");
        }
    }
}

#[test]
fn emulating_as_many_steps_is_linear() {
    let quadratic = EMULATE_250.times(250).unwrap();
    for (a, b) in quadratic.iter().zip(Schedule::Linear.times(250).unwrap()) {
        assert_near(*a, b);
    }
}

#[test]
fn linear_is_even() {
    assert_eq!(Schedule::Linear.times(4).unwrap(), [0.0, 0.25, 0.5, 0.75, 1.0]);
}

#[test]
fn impossible_counts_are_refused() {
    assert_eq!(Schedule::Linear.times(0), Err(ScheduleError::BadSteps(0)));
    assert_eq!(EMULATE_250.times(usize::MAX), Err(ScheduleError::BadSteps(usize::MAX)));
    let error = EMULATE_250.times(251).unwrap_err();
    assert_eq!(error, ScheduleError::TooManySteps { steps: 251, linear_steps_of: 250 });
    assert!(error.to_string().contains("at most 250"));
    assert!(Schedule::LinearQuadratic { linear_steps_of: 0 }.times(1).is_err());
}

#[derive(Debug, Deserialize, Serialize, PartialEq)]
struct File {
    schedule: Schedule,
}

#[test]
fn text_goes_both_ways() {
    for text in [
        "linear",
        "linear-quadratic",
        "linear-quadratic:1000",
        "shifted:3",
        "shifted:0.1",
        "explicit:0,1",
        "explicit:0,0.1,0.30000000000000004,1",
    ] {
        let schedule: Schedule = text.parse().unwrap();
        assert_eq!(schedule.to_string(), text);
        let file = File { schedule };
        assert_eq!(serde_json::from_str::<File>(&serde_json::to_string(&file).unwrap()).unwrap(), file);
        assert_eq!(toml::to_string(&file).unwrap(), format!("schedule = \"{text}\"\n"));
        assert_eq!(toml::from_str::<File>(&format!("schedule = \"{text}\"")).unwrap(), file);
    }
    assert_eq!("linear-quadratic:250".parse(), Ok(Schedule::default()));
}

#[test]
fn bad_text_says_what_to_write() {
    for (text, says) in [
        ("", "use linear"),
        ("Linear", "use linear"),
        ("cosine", "use linear"),
        (":", "use linear"),
        ("linear-quadratic:", "a whole number of steps"),
        ("linear-quadratic:0", "a whole number of steps"),
        ("linear-quadratic:-3", "a whole number of steps"),
        ("linear:2", "takes no parameter"),
        ("shifted", "for example shifted:3"),
        ("shifted:", "for example shifted:3"),
        ("shifted:x", "for example shifted:3"),
        ("shifted:0", "from 0.01 to 100"),
        ("shifted:-3", "from 0.01 to 100"),
        ("shifted:nan", "from 0.01 to 100"),
        ("shifted:inf", "from 0.01 to 100"),
        ("shifted:3,4", "for example shifted:3"),
        ("explicit", "entry 1 is \"\""),
        ("explicit:", "entry 1 is \"\""),
        ("explicit:0,,1", "entry 2 is \"\""),
        ("explicit:0,half,1", "entry 2 is \"half\""),
        ("explicit:0;1", "with commas between"),
        ("explicit:0", "from 1 to 100000"),
        ("explicit:0,0.5", "from 0 to 0.5"),
        ("explicit:0.1,1", "the first time must be 0"),
        ("explicit:0,0.5,0.5,1", "entry 3 is 0.5 after 0.5"),
        ("explicit:0,0.5,0.4,1", "entry 3 is 0.4 after 0.5"),
        ("explicit:0,nan,1", "entry 2 is NaN after 0"),
        ("explicit:nan,1", "entry 2 is 1 after NaN"),
        ("explicit:0,inf", "the last 1"),
    ] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(serde_json::from_str::<Schedule>("\"cosine\"").unwrap_err().to_string().contains("use linear"));
}

#[test]
fn a_list_has_a_largest_length() {
    let list = |steps: usize| {
        let times = (0..=steps).map(|i| (i as f64 / steps as f64).to_string()).collect::<Vec<_>>();
        format!("explicit:{}", times.join(",")).parse::<Schedule>()
    };
    assert_eq!(list(MAX_STEPS).unwrap().steps(), Some(MAX_STEPS));
    assert!(matches!(list(MAX_STEPS + 1), Err(ScheduleError::BadSteps(_))));
}

proptest! {
    #[test]
    fn any_text_is_a_schedule_that_prints_as_itself_or_an_error(
        text in "shifted:[0-9.e-]{1,6}|explicit:0(,0?\\.[0-9]{1,3}){0,3},1|linear-quadratic:[0-9]{1,11}|\\PC{0,12}"
    ) {
        if let Ok(schedule) = text.parse::<Schedule>() {
            prop_assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
    }

    #[test]
    fn any_list_survives_its_text(mut inner in prop::collection::vec(1e-9f64..1.0, 0..20)) {
        inner.sort_by(f64::total_cmp);
        inner.dedup();
        let times: Vec<f64> = [0.0].into_iter().chain(inner).chain([1.0]).collect();
        let schedule = Schedule::Explicit(times.clone());
        let read: Schedule = schedule.to_string().parse().unwrap();
        prop_assert_eq!(read.times(times.len() - 1), Ok(times));
    }

    #[test]
    fn any_shift_survives_its_text(shift in 0.01f64..=100.0) {
        let schedule = Schedule::Shifted { shift };
        prop_assert_eq!(schedule.to_string().parse(), Ok(schedule));
    }
}

#[test]
fn levels_are_those_of_trained_lists() {
    // UniPCMultistepScheduler with flow_shift 3, then FlowMatchEulerDiscreteScheduler with shift 3: sigmas of four steps.
    let least = 3.0 * 0.001 / (1.0 + 2.0 * 0.001);
    for (schedule, expected) in [
        (
            Schedule::Levels { shift: 3.0, least: 0.001, open: true },
            [1.0, 0.900_120, 0.750_375, 0.500_999, 0.0],
        ),
        (Schedule::Levels { shift: 3.0, least, open: false }, [1.0, 0.857_692, 0.602_151, 0.008_929, 0.0]),
    ] {
        let times = schedule.times(4).unwrap();
        for (time, level) in times.iter().zip(expected) {
            assert!((1.0 - time - level).abs() < 1e-5, "{schedule}: {times:?}");
        }
        let text = schedule.to_string();
        assert_eq!(text.parse::<Schedule>().unwrap(), schedule, "{text}");
        assert_eq!(schedule.times(1).unwrap(), [0.0, 1.0]);
    }
    for bad in ["levels", "levels:3", "levels:3:0", "levels:3:1", "levels-open:0:0.1", "levels:x:0.1"] {
        assert!(matches!(bad.parse::<Schedule>(), Err(ScheduleError::BadLevels(_))), "{bad}");
    }
}
