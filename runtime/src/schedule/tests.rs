use super::*;

const EMULATE_250: Schedule = Schedule::LinearQuadratic { linear_steps_of: 250 };

fn assert_near(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-12, "{got} is not {want}");
}

#[test]
fn movie_gen_numbers() {
    let t = EMULATE_250.times(50).unwrap();
    let want = [(0, 0.0), (1, 0.004), (25, 0.1), (26, 0.10528), (30, 0.152), (49, 0.93328), (50, 1.0)];
    for (i, want) in want {
        assert_near(t[i], want);
    }
    assert_eq!(t[50], 1.0);
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
    for schedule in [Schedule::Linear, EMULATE_250, Schedule::LinearQuadratic { linear_steps_of: 1000 }] {
        for steps in 1..=250 {
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

/// Every value of Movie Gen's 50 steps, by its formula in exact integers: t_{25+k} = (25 + k)/250 + 0.8 k^2 / 625.
#[test]
fn movie_gen_formula() {
    let t = EMULATE_250.times(50).unwrap();
    for (i, got) in t.iter().enumerate() {
        let k = (i as i32 - 25).max(0);
        assert_near(*got, f64::from(1250 * i as i32 + 400 * k * k) / 312_500.0);
    }
}

#[test]
fn a_shift_moves_noise_levels() {
    // Of sigma = 3/4, 1/2, 1/4 a shift of 3 makes 0.9, 0.75, 0.5.
    let t = "shifted:3".parse::<Schedule>().unwrap().times(4).unwrap();
    for (got, want) in t.iter().zip([0.0, 0.1, 0.25, 0.5, 1.0]) {
        assert_near(*got, want);
    }
    assert_eq!("shifted:1".parse::<Schedule>().unwrap().times(9), Schedule::Linear.times(9));
    for shift in ["shifted:0.01", "shifted:100"] {
        let t = shift.parse::<Schedule>().unwrap().times(1000).unwrap();
        assert!(t[0] == 0.0 && t[1000] == 1.0 && t.windows(2).all(|w| w[0] < w[1]), "{shift}");
    }
}

#[test]
fn a_list_is_taken_as_it_is() {
    let schedule: Schedule = "explicit:0,0.1,0.5,1".parse().unwrap();
    assert_eq!((schedule.steps(), schedule.times(3).unwrap()), (Some(3), vec![0.0, 0.1, 0.5, 1.0]));
    assert!(schedule.times(4).unwrap_err().to_string().contains("leave out"));
    assert_eq!(Schedule::Linear.steps(), None);
}

#[test]
fn text_goes_both_ways() {
    for text in ["linear", "linear-quadratic", "linear-quadratic:1000", "shifted:2.5", "explicit:0,0.125,1"] {
        assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
    }
    assert_eq!("linear-quadratic:250".parse(), Ok(Schedule::default()));
    let json = serde_json::to_string(&EMULATE_250).unwrap();
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), EMULATE_250);
}

#[test]
fn bad_text_says_what_to_write() {
    for text in [
        "",
        "Linear",
        "cosine",
        "linear-quadratic:",
        "linear-quadratic:0",
        "linear-quadratic:-3",
        "linear:2",
        ":",
    ] {
        let error = text.parse::<Schedule>().unwrap_err();
        assert!(error.to_string().contains("linear"), "{error}");
    }
    for text in
        ["shifted", "shifted:", "shifted:0", "shifted:-1", "shifted:NaN", "shifted:inf", "shifted:1e9"]
    {
        assert!(text.parse::<Schedule>().unwrap_err().to_string().contains("shifted:3"), "{text}");
    }
    for text in [
        "explicit:",
        "explicit:0",
        "explicit:0,1,0.5",
        "explicit:0,NaN,1",
        "explicit:0,0.5",
        "explicit:0.1,1",
    ] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains("explicit") || error.contains("0 steps"), "{text}: {error}");
    }
    assert!(serde_json::from_str::<Schedule>("\"cosine\"").unwrap_err().to_string().contains("use linear"));
}
