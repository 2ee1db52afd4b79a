//! When a lane sends and when it waits, with a clock of the test's own.

use std::{
    sync::{Arc, Mutex},
    task::Waker,
};

use super::*;
use crate::{
    Durability, Exporting,
    export::backlog::{Backlog, Memory},
};

/// Answers by script; then takes everything, but what it is set against.
#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<Vec<Sent>>>, Option<Sent>);

const POISON: &[u8] = b"poison";

impl Exporter for Script {
    fn destination(&self) -> String {
        "a script".into()
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        let mut script = self.0.lock().unwrap();
        let poisoned = batch.otlp().windows(POISON.len()).any(|part| part == POISON);
        let otherwise = self.1.clone().filter(|_| poisoned).unwrap_or(Sent::Done);
        let sent = if script.is_empty() { otherwise } else { script.remove(0) };
        Box::pin(std::future::ready(sent))
    }
}

const INTERVAL: Duration = Duration::from_secs(3600);

fn lane(script: Vec<Sent>) -> Lane {
    lane_to(Script(Arc::new(Mutex::new(script)), None))
}

fn lane_to(script: Script) -> Lane {
    let memory = Memory { all: 32 << 20, share: None };
    let backlog = Backlog::new(b"".as_slice().into(), Durability::Memory, memory, None);
    let waits = Waits { first: Duration::from_secs(1), most: Duration::from_secs(30) };
    let rules = Rules { batch_size: 100, interval: INTERVAL, waits, bisect: false };
    Lane::new(Box::new(script), "a script".into(), backlog, rules)
}

/// Sends once, if the lane does; tells whether it did.
fn send(lane: &mut Lane, now: Instant, urgent: bool) -> bool {
    lane.pump(now, urgent);
    let mut task = task::Context::from_waker(Waker::noop());
    match lane.poll_landing(&mut task) {
        Poll::Ready(landing) => {
            lane.landed(landing, now);
            true
        }
        Poll::Pending => false,
    }
}

fn retry(after: Option<u64>) -> Sent {
    Sent::Retry { after: after.map(Duration::from_secs), reason: "busy".into() }
}

#[test]
fn what_is_tried_again_is_tried_when_its_time_has_come() {
    let (mut lane, start) = (lane(vec![retry(None)]), Instant::now());
    lane.push(Parts::whole(b"s", b"span"), 1, start);
    assert!(!send(&mut lane, start, false), "one span waits for more");
    assert!(send(&mut lane, start, true));
    let until = lane.next_time().unwrap();
    assert!(until > start && until < start + Duration::from_secs(2));
    assert!(!send(&mut lane, start, true), "not before its time, whoever waits");
    assert!(send(&mut lane, until, false), "and then at once, though the interval has not passed");
    assert_eq!(lane.next_time(), None);
}

#[test]
fn a_wait_of_nothing_is_no_invitation_to_a_storm() {
    let (mut lane, mut now) = (lane(vec![retry(Some(0)); 20]), Instant::now());
    lane.push(Parts::whole(b"s", b"span"), 1, now);
    let (start, mut sent) = (now, 0);
    while send(&mut lane, now, true) {
        sent += 1;
        now = lane.next_time().unwrap_or(now);
    }
    assert_eq!(sent, 21);
    assert!(now - start > Duration::from_secs(100), "{:?}", now - start);
    let forever = Sent::Retry { after: Some(Duration::MAX), reason: "for ever".into() };
    let mut lane = super::tests::lane(vec![forever]);
    lane.push(Parts::whole(b"s", b"span"), 1, start);
    assert!(send(&mut lane, start, true));
    assert_eq!(lane.next_time(), Some(start + Duration::from_secs(600)));
}

#[test]
fn an_answer_to_the_old_key_does_not_stop_the_new_one() {
    let (mut lane, now) = (lane(vec![Sent::Blocked { reason: "401".into() }]), Instant::now());
    lane.push(Parts::whole(b"s", b"span"), 1, now);
    lane.pump(now, true);
    lane.unblock(now);
    let Poll::Ready(landing) = lane.poll_landing(&mut task::Context::from_waker(Waker::noop())) else {
        panic!("the script answers at once")
    };
    lane.landed(landing, now);
    assert!(send(&mut lane, now, true) && lane.is_idle());
}

#[test]
fn what_is_blocked_is_tried_once_by_who_waits_and_after_a_while() {
    let blocked = || Sent::Blocked { reason: "404".into() };
    let (mut lane, start) = (lane(vec![blocked(), blocked(), blocked()]), Instant::now());
    lane.push(Parts::whole(b"s", b"span"), 1, start);
    assert!(send(&mut lane, start, true) && lane.is_hopeless(true));
    let first = lane.next_time().unwrap() - start;
    assert!((5..=15).contains(&first.as_secs()), "{first:?}");
    let later = start + Duration::from_secs(2);
    lane.hurry(later);
    assert!(!lane.is_hopeless(true));
    assert!(send(&mut lane, later, true) && lane.is_hopeless(true));
    lane.hurry(later);
    assert!(lane.is_hopeless(true) && !send(&mut lane, later, true), "it was just tried");
    let after = lane.next_time().unwrap();
    assert!(send(&mut lane, after, true));
    let last = lane.next_time().unwrap();
    assert!(send(&mut lane, last, false));
    assert_eq!(lane.account().delivered, 1);
}

#[test]
fn who_takes_not_even_a_small_span_keeps_all_and_gets_whole_requests_afterwards() {
    let (mut lane, mut now) = (lane(vec![Sent::TooLarge; 20]), Instant::now());
    for _ in 0..400 {
        lane.push(Parts::whole(b"s", &[7; 300]), 1, now);
    }
    while send(&mut lane, now, true) {
        now = lane.next_time().unwrap_or(now);
    }
    let account = lane.account();
    assert_eq!((account.refused, account.delivered), (0, 400));
    assert!(account.requests <= 20 + 30, "{}", account.requests);
}

#[test]
fn a_limit_that_a_destination_has_shown_is_tried_again_after_a_while() {
    let (mut lane, start) = (lane(vec![Sent::TooLarge]), Instant::now());
    let requests_of = |lane: &mut Lane, now: Instant| {
        (0..100).for_each(|_| lane.push(Parts::whole(b"s", &[7; 300]), 1, now));
        let before = lane.account().requests;
        while send(lane, now, true) {}
        lane.account().requests - before
    };
    assert_eq!(requests_of(&mut lane, start), 1 + 2);
    assert_eq!(requests_of(&mut lane, start + Duration::from_secs(1)), 2);
    let later = start + Duration::from_secs(61);
    assert_eq!([(); 2].map(|()| requests_of(&mut lane, later)), [2, 1]);
}

/// Sends until nothing is left, or nothing before that time; returns when that was.
fn send_until(lane: &mut Lane, mut now: Instant, end: Instant) -> Instant {
    loop {
        while send(lane, now, true) {}
        let Some(next) = lane.next_time().filter(|next| *next <= end) else { return now };
        assert!(next > now, "something is due and does not go");
        now = next;
    }
}

fn unsure() -> Sent {
    Sent::Unsure { reason: "HTTP 500".into() }
}

#[test]
fn an_outage_costs_nothing_whatever_is_answered_meanwhile() {
    let blocked = || Sent::Blocked { reason: "403".into() };
    for answer in [unsure(), retry(None), blocked(), Sent::TimedOut] {
        let (mut lane, now) = (lane(vec![answer.clone(); 100]), Instant::now());
        (0..500).for_each(|_| lane.push(Parts::whole(b"s", b"span"), 1, now));
        send_until(&mut lane, now, now + 100 * INTERVAL);
        let account = lane.account();
        assert_eq!((account.refused, account.delivered, lane.is_idle()), (0, 500, true), "{answer:?}");
    }
}

#[test]
fn a_span_that_alone_does_not_arrive_holds_up_no_other() {
    let blocked = || Sent::Blocked { reason: "403".into() };
    let cases = [(unsure(), 1), (retry(None), 0), (blocked(), 0), (Sent::TimedOut, 0)];
    for (before, (answer, refused)) in
        [0, 1, 77, 150, 299].into_iter().flat_map(|at| cases.clone().map(|case| (at, case)))
    {
        let (mut lane, start) = (lane_to(Script(Arc::default(), Some(answer.clone()))), Instant::now());
        let span = |at| if at == before { POISON } else { b"a span" };
        (0..300).for_each(|at| lane.push(Parts::whole(b"s", span(at)), 1, start));
        let now = send_until(&mut lane, start, start + Duration::from_secs(1_000));
        let account = lane.account();
        let what = format!("{answer:?} for {before}");
        assert_eq!((account.delivered, account.refused, account.hopeless), (299, 0, 1), "{what}");
        assert!(account.requests < 80, "{} requests, {what}", account.requests);
        assert!(lane.is_hopeless(false), "nobody waits for it");
        (0..50).for_each(|_| lane.push(Parts::whole(b"s", b"a span"), 1, now));
        let requests = lane.account().requests;
        while send(&mut lane, now, true) {}
        let (delivered, more) = (lane.account().delivered, lane.account().requests - requests);
        assert!(delivered == 349 && more < 10, "what comes goes at once: {delivered}, {more} requests");
        let mut later = now;
        for _ in 0..20 {
            later += Duration::from_secs(300);
            lane.push(Parts::whole(b"s", b"a span"), 1, later);
            send_until(&mut lane, later, later + Duration::from_secs(10));
        }
        let account = lane.account();
        assert_eq!((account.delivered, account.refused, account.hopeless), (369, refused, 1 - refused), "{what}");
    }
}

#[test]
fn what_rests_is_tried_less_and_less_often_and_at_once_with_another_key() {
    let script = Script(Arc::default(), Some(Sent::Blocked { reason: "403".into() }));
    let (mut lane, start) = (lane_to(script), Instant::now());
    [POISON, b"a span"].iter().for_each(|span| lane.push(Parts::whole(b"s", span), 1, start));
    let mut now = start;
    while lane.account().hopeless == 0 {
        while send(&mut lane, now, true) {}
        now = lane.next_time().unwrap().max(now);
    }
    let mut last = Duration::ZERO;
    for _ in 0..12 {
        assert!(!send(&mut lane, now - Duration::from_millis(1), true), "it rests");
        assert!(send(&mut lane, now, true));
        let next = lane.next_time().unwrap();
        assert!(next - now >= (last * 2).min(Duration::from_secs(300)), "{:?} after {last:?}", next - now);
        (last, now) = (next - now, next);
    }
    assert_eq!(last, Duration::from_secs(300));
    lane.unblock(now - Duration::from_secs(1));
    assert!(send(&mut lane, now - Duration::from_secs(1), false));
}

#[test]
fn while_one_span_rests_the_others_go_in_batches_as_ever() {
    let mut lane = lane_to(Script(Arc::default(), Some(retry(None))));
    let start = Instant::now();
    [POISON, b"a span"].iter().for_each(|span| lane.push(Parts::whole(b"s", span), 1, start));
    let mut now = send_until(&mut lane, start, start + Duration::from_secs(600));
    assert_eq!(lane.account().hopeless, 1);
    let before = lane.account().requests;
    for _ in 0..1_000 {
        now += Duration::from_millis(20);
        lane.push(Parts::whole(b"s", b"a span"), 1, now);
        while send(&mut lane, now, false) {}
    }
    let account = lane.account();
    assert!(account.requests - before <= 20, "{} requests", account.requests - before);
    assert!(account.delivered > 900, "{}", account.delivered);
}

#[test]
fn a_small_span_that_is_too_large_for_somebody_holds_up_no_other() {
    let (mut lane, start) = (lane_to(Script(Arc::default(), Some(Sent::TooLarge))), Instant::now());
    (0..100).for_each(|at| lane.push(Parts::whole(b"s", if at == 50 { POISON } else { b"a span" }), 1, start));
    send_until(&mut lane, start, start + Duration::from_secs(600));
    assert_eq!((lane.account().delivered, lane.account().hopeless), (99, 1));
}

/// Numbers between 0 and 1, the same each time.
fn numbers(seed: u64) -> impl FnMut() -> f64 + Send {
    let mut state = seed * 2 + 88_172_645_463_325_252;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[test]
fn of_a_server_that_fails_at_random_hardly_anything_is_given_up() {
    for (share, batch, most) in [(0.3, 100, 10), (0.3, 1, 5), (0.5, 1, 15)] {
        let (mut now, mut number, script) = (Instant::now(), numbers(1), Arc::new(Mutex::new(vec![])));
        let mut lane = lane_to(Script(Arc::clone(&script), None));
        let mut next = || if number() < share { unsure() } else { Sent::Done };
        for _ in 0..2_000 {
            (0..batch).for_each(|_| lane.push(Parts::whole(b"s", b"a span"), 1, now));
            *script.lock().unwrap() = vec![next()];
            send(&mut lane, now, true);
            now += Duration::from_secs(1);
        }
        for _ in 0..50_000 {
            *script.lock().unwrap() = vec![next()];
            now = if send(&mut lane, now, true) { now } else { lane.next_time().unwrap_or(now) };
        }
        let account = lane.account();
        assert!(
            lane.is_idle() && account.refused <= most,
            "{share}, {batch}: {} of {}",
            account.refused,
            2_000 * batch
        );
        assert_eq!(account.delivered + account.refused, 2_000 * batch);
    }
}

#[test]
fn many_spans_that_never_pass_hold_up_no_other_also_where_the_server_comes_and_goes() {
    for seed in 0..12 {
        let mut number = numbers(seed);
        let script = Arc::new(Mutex::new(vec![]));
        let mut lane = lane_to(Script(Arc::clone(&script), Some(unsure())));
        let (start, period, up) = (Instant::now(), 5.0 + number() * 100.0, 0.2 + number());
        let is_up = |now: Instant| ((now - start).as_secs_f64() % period) / period < up;
        let (mut now, mut poisons, mut pushed) = (start, 0, 0);
        for step in 0..8_000 {
            if step < 300 {
                for _ in 0..(number() * 20.0) as usize {
                    let poison = number() < 0.05;
                    poisons += u64::from(poison);
                    pushed += 1;
                    lane.push(Parts::whole(b"s", if poison { POISON } else { b"a span" }), 1, now);
                }
            }
            *script.lock().unwrap() = if is_up(now) { vec![] } else { vec![unsure()] };
            if !send(&mut lane, now, true) {
                now = lane.next_time().unwrap_or(now).min(now + Duration::from_secs(1));
            }
        }
        *script.lock().unwrap() = vec![];
        for _ in 0..poisons + 3 {
            // Whether an outage has begun or these are at fault is known once something else arrives.
            pushed += 1;
            lane.push(Parts::whole(b"s", b"a span"), 1, now);
            now = send_until(&mut lane, now, now + Duration::from_secs(60));
        }
        let account = lane.account();
        assert_eq!(account.delivered, pushed - poisons, "seed {seed}: up {up:.2} of {period:.0} s");
        assert_eq!(account.refused + lane.backlog.held().memory, poisons);
        assert!(lane.is_idle() || lane.is_hopeless(false), "seed {seed}: nobody waits for what is left");
    }
}

#[test]
fn pieces_of_what_is_too_large_at_once_do_not_wait_for_each_other() {
    let (mut lane, start) = (lane(vec![Sent::TooLarge, Sent::TooLarge]), Instant::now());
    (0..64).for_each(|_| lane.push(Parts::whole(b"s", &[7; 1_000]), 1, start));
    let due = start + INTERVAL;
    let mut requests = 0;
    while send(&mut lane, due, false) {
        requests += 1;
    }
    assert_eq!((requests, lane.account().delivered), (2 + 4, 64), "64, 32, then four times 16");
    (0..3).for_each(|_| lane.push(Parts::whole(b"s", b"span"), 1, due));
    assert!(!send(&mut lane, due, false), "what came meanwhile waits for its own time");
}
