//! A backlog against a file system in memory that fails, tears and crashes: one case after the other, and below it
//! any of them, against a model.

mod model;

use std::path::Path;

use super::*;
use crate::{
    export::{
        disk::{Disk, fake::FakeDisk},
        parts::Shared,
        spool::{Bounds, Identity},
    },
    secret::Secret,
};

const MEMORY: Memory = Memory { all: 32 << 20, share: None };
const DAY: Duration = Duration::from_secs(24 * 3600);

fn bounds() -> Bounds {
    Bounds { bytes: 1 << 40, age: DAY, free: None.into() }
}

fn backlog_in(disk: &Arc<FakeDisk>, durability: Durability, bounds: Bounds) -> Backlog {
    backlog_of("key", disk, durability, MEMORY, bounds)
}

fn backlog_of(key: &str, disk: &Arc<FakeDisk>, durability: Durability, memory: Memory, bounds: Bounds) -> Backlog {
    let identity = Identity { origin: "https://h".into(), secret: Secret::new(key) };
    let spool = Spool::new(Arc::clone(disk) as _, "/spool".into(), identity, bounds);
    Backlog::new(b"resource".as_slice().into(), durability, memory, Some(spool))
}

/// Takes over all that there is.
fn adopt(backlog: &mut Backlog, now: Instant) {
    backlog.begin_round();
    while backlog.adopt(now) {}
}

/// Leaves spans as a process does that is gone, and takes them over in another.
fn heir(disk: &Arc<FakeDisk>, ids: std::ops::Range<u64>, len: usize) -> Backlog {
    push(&mut backlog_in(disk, Durability::Journal, bounds()), ids, len, 1);
    disk.crash(false);
    let mut next = backlog_in(disk, Durability::Journal, bounds());
    adopt(&mut next, Instant::now());
    next
}

/// Removes all that is too old.
fn expire(backlog: &mut Backlog, now_ms: u64) {
    backlog.begin_round();
    while backlog.expire(now_ms) {}
}

/// Makes a span of so many bytes, without what it shares: spans are of one session and then of another, for a while each.
fn with_span<R>(id: u64, len: usize, work: impl FnOnce(Parts<'_>) -> R) -> R {
    let mut own = id.to_le_bytes().to_vec();
    own.resize(len, 7);
    let session = [[0xA, 0xB][(id / 16 % 2) as usize]; 300];
    work(Parts { shared: Shared { scope: b"scope", session: &session, tracer: &[0xC; 150] }, own: &own, at: 8 })
}

/// Returns the ids of the next spans, each of which is as it was made.
fn ids(segment: &Segment, count: usize) -> Vec<u64> {
    let id = |span: Parts<'_>| {
        let whole = span.span().concat();
        let id = u64::from_le_bytes(whole[..8].try_into().unwrap());
        with_span(id, whole.len() - 450, |made| assert!(made.span().concat() == whole, "{id} is as it was made"));
        assert_eq!(span.shared.scope, b"scope");
        id
    };
    segment.next(count).map(id).collect()
}

fn push(backlog: &mut Backlog, ids: std::ops::Range<u64>, len: usize, created_ms: u64) {
    for id in ids {
        with_span(id, len, |span| backlog.push(span, created_ms, Instant::now()));
    }
    backlog.commit(Instant::now());
}

#[test]
fn a_trickle_uses_one_file_over_and_over() {
    let disk = Arc::<FakeDisk>::default();
    let mut backlog = backlog_in(&disk, Durability::Journal, bounds());
    for id in 0..100 {
        push(&mut backlog, id..id + 1, 100, 1);
        assert_eq!(disk.segments(), 1);
        assert_eq!(backlog.front().map(|front| ids(front, 9)), Some(vec![id]));
        backlog.settle(1, Instant::now());
    }
    let number = backlog.stored.front().unwrap().name.number;
    assert_eq!(number, 1);
    // But not for ever: its name tells its age.
    let later = Instant::now() + Duration::from_secs(61);
    backlog.push(Parts::whole(b"scope", &[0; 100]), 61_000, later);
    backlog.commit(later);
    backlog.settle(1, later);
    backlog.push(Parts::whole(b"scope", &[0; 100]), 62_000, later);
    backlog.commit(later);
    let front = backlog.stored.front().unwrap();
    assert_eq!((front.name.number, front.name.created_ms, disk.segments()), (2, 62_000, 1));
}

#[test]
fn what_is_written_stays_at_the_end_though_its_tail_is_not() {
    let disk = Arc::<FakeDisk>::default();
    let mut backlog = backlog_in(&disk, Durability::Journal, bounds());
    push(&mut backlog, 0..9, 100, 1);
    disk.set_room(Some(50));
    push(&mut backlog, 9..12, 100, 1);
    assert_eq!((backlog.held().memory, backlog.held().disk), (12, 0), "not all of the segment is safe");
    backlog.close(Instant::now());
    assert_eq!((backlog.lost().undelivered, backlog.held().disk), (3, 9));
    disk.set_room(None);
    disk.crash(false);
    let mut next = backlog_in(&disk, Durability::Journal, bounds());
    adopt(&mut next, Instant::now());
    assert_eq!(next.front().map(|front| ids(front, 99)), Some((0..9).collect()));
}

#[test]
fn what_is_ours_and_what_was_taken_over_leave_by_turns() {
    let disk = Arc::<FakeDisk>::default();
    let (mut next, now) = (heir(&disk, 0..30, 100), Instant::now());
    push(&mut next, 100..130, 100, 1);
    let mut sent = vec![];
    for turn in 0..6 {
        next.take_turns();
        sent.push(ids(next.front().unwrap(), 10)[0]);
        next.settle(10, now);
        // What comes meanwhile is in the next turns.
        push(&mut next, 130 + turn..131 + turn, 100, 1);
    }
    assert_eq!(sent, [0, 100, 10, 110, 20, 120]);
    while let Some(front) = next.front() {
        sent.extend(ids(front, 99));
        next.settle(99, now);
    }
    assert_eq!(sent[6..], [130, 131, 132, 133, 134, 135]);
    next.close(now);
    assert_eq!(disk.segments(), 0);
}

#[test]
fn everybody_finds_the_same_salt_however_many_wrote_it() {
    let disk = Arc::<FakeDisk>::default();
    disk.make_dir(Path::new("/spool/v1")).unwrap();
    (0..30u8).for_each(|writer| disk.append(Path::new("/spool/v1/salt"), &[writer; 16]).unwrap());
    let mut next = heir(&disk, 0..3, 100);
    assert_eq!(next.front().map(|front| ids(front, 9)), Some(vec![0, 1, 2]));
}

#[test]
fn what_is_too_old_goes_whoever_it_was_for() {
    let disk = Arc::<FakeDisk>::default();
    push(&mut backlog_in(&disk, Durability::Journal, bounds()), 0..3, 100, 1_000);
    disk.crash(false);
    let identity = Identity { origin: "https://h".into(), secret: Secret::new("the next key") };
    let spool = Spool::new(Arc::clone(&disk) as Arc<dyn Disk>, "/spool".into(), identity, bounds());
    let mut other = Backlog::new(b"".as_slice().into(), Durability::Journal, MEMORY, Some(spool));
    // A day is what it keeps its own; what is another's may wait for a week.
    let week = 7 * DAY.as_millis() as u64;
    expire(&mut other, 1_000 + week);
    assert_eq!(disk.segments(), 1);
    disk.crash(false);
    expire(&mut other, 1_001 + week);
    assert_eq!(disk.segments(), 0);
}

#[test]
fn what_others_left_waits_for_a_week_however_short_ones_own_does() {
    let disk = Arc::<FakeDisk>::default();
    push(&mut backlog_in(&disk, Durability::Journal, bounds()), 0..3, 100, 1_000);
    disk.crash(false);
    let short = Bounds { age: Duration::from_secs(60), ..bounds() };
    let (mut next, now) = (backlog_in(&disk, Durability::Journal, short), Instant::now());
    adopt(&mut next, now);
    next.trim(1_000 + 3_600_000, now);
    assert_eq!(next.adopted().1.total(), 0);
    // What nobody can count now stays until somebody can.
    let late = 1_001 + 7 * DAY.as_millis() as u64;
    disk.set_unreadable(true);
    next.trim(late, now + Duration::from_secs(2));
    assert_eq!((next.adopted().0, disk.segments()), (0, 1));
    disk.set_unreadable(false);
    next.trim(late, now + Duration::from_secs(4));
    assert_eq!(next.adopted(), (3, Lost { expired: 3, ..Lost::default() }));
}

#[test]
fn the_oldest_are_dropped_when_the_spool_is_full_and_counted() {
    let disk = Arc::<FakeDisk>::default();
    let mut backlog = backlog_in(&disk, Durability::Journal, Bounds { bytes: 5 << 20, ..bounds() });
    push(&mut backlog, 0..100, 100_000, 1);
    backlog.trim(1, Instant::now());
    let (held, lost) = (backlog.held(), backlog.lost());
    assert!(held.file_bytes <= 5 << 20, "{held:?}");
    assert_eq!(lost.spool_full + held.disk, 100);
    assert_eq!(backlog.front().map(|front| ids(front, 1)), Some(vec![lost.spool_full]), "the oldest went first");
}

#[test]
fn what_is_too_old_is_dropped_and_counted() {
    let disk = Arc::<FakeDisk>::default();
    let mut backlog = backlog_in(&disk, Durability::Journal, bounds());
    push(&mut backlog, 0..30, 100_000, 1_000);
    // A clock that was set says nothing of what this process made.
    backlog.trim(1_000 + 2 * DAY.as_millis() as u64, Instant::now());
    assert_eq!(backlog.lost().expired, 0);
    backlog.trim(1_000, Instant::now() + DAY + Duration::from_secs(1));
    assert!(backlog.lost().expired >= 20, "{:?}", backlog.lost());
    assert_eq!(backlog.lost().expired + backlog.held().disk, 30);
}

#[test]
fn memory_is_freed_once_it_is_on_disk_and_read_again_in_order() {
    for durability in [Durability::Journal, Durability::Fsync] {
        let mut backlog = backlog_in(&Arc::default(), durability, bounds());
        // The second half comes before it is time for another sync.
        push(&mut backlog, 0..50, 100_000, 1);
        push(&mut backlog, 50..100, 100_000, 1);
        backlog.shed(3 << 20, Instant::now());
        assert!(backlog.held().bytes <= 3 << 20, "{durability:?} {:?}", backlog.held());
        let mut seen = vec![];
        while let Some(front) = backlog.front() {
            let next = ids(front, 7);
            backlog.settle(next.len(), Instant::now());
            seen.extend(next);
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn what_cannot_be_read_now_does_not_hold_up_what_can() {
    let disk = Arc::<FakeDisk>::default();
    let (mut backlog, now) = (heir(&disk, 0..3, 100), Instant::now());
    disk.set_unreadable(true);
    push(&mut backlog, 3..5, 100, 1);
    for id in [3, 4] {
        assert_eq!(backlog.front().map(|front| ids(front, 1)), Some(vec![id]));
        backlog.settle(1, now);
    }
    push(&mut backlog, 5..7, 100, 1);
    assert_eq!(backlog.front().map(|front| ids(front, 9)), Some(vec![5, 6]));
    backlog.settle(2, now);
    assert!(backlog.front().is_none() && !backlog.is_empty());
    disk.set_unreadable(false);
    assert_eq!(backlog.front().map(|front| ids(front, 9)), Some(vec![0, 1, 2]));
}

#[test]
fn files_that_somebody_removes_are_written_anew_and_what_was_in_them_alone_is_counted() {
    for and_directories in [false, true] {
        let disk = Arc::<FakeDisk>::default();
        let mut backlog = backlog_in(&disk, Durability::Journal, bounds());
        push(&mut backlog, 0..40, 100_000, 1);
        backlog.shed(0, Instant::now());
        let on_disk_alone: usize = backlog.stored.iter().filter(|it| it.segment.is_none()).map(|it| it.left).sum();
        disk.remove_segments(and_directories);
        let mut later = Instant::now();
        for id in 40..43 {
            later += Duration::from_secs(60);
            with_span(id, 100, |span| backlog.push(span, 1, later));
            backlog.commit(later);
        }
        assert_eq!(backlog.lost().damaged, on_disk_alone as u64);
        disk.crash(false);
        let mut next = backlog_in(&disk, Durability::Journal, bounds());
        adopt(&mut next, later);
        let mut found = 0;
        while let Some(left) = next.front().map(Segment::left) {
            found += left;
            next.settle(left, later);
        }
        assert_eq!((found, next.adopted().1.total()), (43 - on_disk_alone, 0), "{and_directories}");
    }
}

#[test]
fn a_directory_that_cannot_be_listed_now_is_not_taken_for_an_empty_one() {
    let disk = Arc::<FakeDisk>::default();
    let mut backlog = backlog_in(&disk, Durability::Journal, bounds());
    push(&mut backlog, 0..40, 100_000, 1);
    backlog.shed(0, Instant::now());
    let before = backlog.held();
    disk.set_unlistable(true);
    backlog.look_for_files();
    assert_eq!((backlog.held(), backlog.lost().total()), (before, 0));
}

#[test]
fn what_was_taken_over_and_can_be_kept_no_longer_is_no_loss_of_this_process() {
    let disk = Arc::<FakeDisk>::default();
    let mut backlog = heir(&disk, 0..3, 100);
    backlog.front();
    disk.remove_segments(false);
    disk.set_room(Some(0));
    backlog.close(Instant::now());
    assert_eq!((backlog.lost().total(), backlog.adopted().1.undelivered), (0, 3));
}

#[test]
fn of_what_others_left_as_much_is_taken_as_there_is_room_for() {
    let disk = Arc::<FakeDisk>::default();
    for worker in 0..4 {
        push(
            &mut backlog_in(&disk, Durability::Journal, bounds()),
            100 * worker..100 * worker + 40,
            100_000,
            1 + worker,
        );
    }
    disk.crash(false);
    let four = Bounds { bytes: 5 << 20, ..bounds() };
    let mut siblings = [(); 4].map(|()| backlog_in(&disk, Durability::Journal, four));
    let mut found = 0;
    for sibling in &mut siblings {
        adopt(sibling, Instant::now());
        sibling.trim(10, Instant::now());
        assert!(sibling.held().file_bytes <= 5 << 20);
        while let Some(left) = sibling.front().map(Segment::left) {
            found += left;
            sibling.settle(left, Instant::now());
        }
        assert_eq!(sibling.adopted().1.total(), 0, "nothing is dropped");
        // The directories that it has not emptied are free again.
        disk.crash(false);
    }
    assert_eq!(found, 160);
}

#[test]
fn memory_of_the_first_is_freed_too_unless_it_is_being_sent_or_holds_more_than_its_file() {
    let disk = Arc::<FakeDisk>::default();
    let (mut backlog, now) = (heir(&disk, 0..5, 100_000), Instant::now());
    backlog.front();
    backlog.set_busy(true);
    backlog.shed(0, now);
    assert!(backlog.held().bytes > 0);
    backlog.set_busy(false);
    backlog.shed(0, now);
    assert_eq!(backlog.held().bytes, 0);
    backlog.front();
    backlog.replace_next(vec![7; 100]);
    backlog.shed(0, now);
    assert!(backlog.held().bytes > 0);
}

#[test]
fn where_there_are_no_locks_nothing_is_left_behind() {
    let disk = Arc::<FakeDisk>::default();
    disk.set_lockless(true);
    let mut backlog = backlog_in(&disk, Durability::Journal, bounds());
    push(&mut backlog, 0..1, 100, 1);
    let before = disk.directories();
    for hour in 1..10 {
        backlog.write(Instant::now() + Duration::from_secs(3600 * hour));
    }
    assert_eq!((disk.directories(), backlog.held().memory), (before, 1));
}

#[test]
fn an_excerpt_is_what_comes_next() {
    let mut backlog = backlog_in(&Arc::default(), Durability::Journal, bounds());
    push(&mut backlog, 0..40, 100, 1);
    backlog.settle(10, Instant::now());
    let (_, excerpt) = backlog.excerpt(20).unwrap();
    let read = Segment::read(excerpt.image().to_vec()).unwrap();
    assert_eq!(ids(&read, usize::MAX), (10..30).collect::<Vec<_>>());
}

#[test]
fn only_what_is_written_at_once_makes_room() {
    let now = Instant::now();
    let room = |durability, bounds| backlog_in(&Arc::default(), durability, bounds).writes_at_once(now);
    let modes = [Durability::Memory, Durability::Spill, Durability::Journal, Durability::Fsync, Durability::Sync];
    assert_eq!(modes.map(|mode| room(mode, bounds())), [false, false, true, false, true]);
    let mut spilling = backlog_in(&Arc::default(), Durability::Spill, bounds());
    spilling.set_spilling(true, now);
    assert!(spilling.writes_at_once(now));
    // Not with a spool that is half full, nor with one that cannot be written to.
    let mut small = backlog_in(&Arc::default(), Durability::Journal, Bounds { bytes: 10_000, ..bounds() });
    push(&mut small, 0..10, 600, 1);
    assert!(!small.writes_at_once(now));
    let disk = Arc::<FakeDisk>::default();
    let mut broken = backlog_in(&disk, Durability::Journal, bounds());
    disk.set_room(Some(0));
    push(&mut broken, 0..1, 600, 1);
    assert!(!broken.writes_at_once(now));
}

#[test]
fn another_key_finds_nothing_and_leaves_all() {
    let disk = Arc::<FakeDisk>::default();
    let mut backlog = backlog_in(&disk, Durability::Journal, bounds());
    push(&mut backlog, 0..5, 100, 1);
    disk.crash(false);
    let mut other = backlog_of("another key", &disk, Durability::Journal, MEMORY, bounds());
    adopt(&mut other, Instant::now());
    assert!(other.front().is_none());
    assert_eq!(disk.segments(), 1);
    let mut same = backlog_in(&disk, Durability::Journal, bounds());
    adopt(&mut same, Instant::now());
    assert_eq!(same.front().map(|front| ids(front, 9)), Some(vec![0, 1, 2, 3, 4]));
}

#[test]
fn what_is_only_to_be_spilled_is_written_before_it_is_too_much_for_memory() {
    for share in [None, Some(1 << 20)] {
        let (memory, now) = (Memory { all: 4 << 20, share }, Instant::now());
        let mut backlog = backlog_of("key", &Arc::default(), Durability::Spill, memory, bounds());
        for id in 0..200 {
            push(&mut backlog, id..id + 1, 100_000, 1);
            backlog.shed(share.unwrap_or(1 << 18), now);
        }
        assert!(backlog.held().bytes <= 3 << 20, "{share:?}: {:?}", backlog.held());
        assert_eq!(backlog.lost(), Lost::default());
    }
}

#[test]
fn a_directory_that_is_gone_as_the_process_ends_is_made_anew() {
    let disk = Arc::<FakeDisk>::default();
    let mut backlog = backlog_in(&disk, Durability::Journal, bounds());
    push(&mut backlog, 0..10, 100, 1);
    disk.remove_segments(true);
    backlog.close(Instant::now());
    assert_eq!((backlog.lost(), backlog.held().disk), (Lost::default(), 10));
}

#[test]
fn what_is_too_old_goes_beside_something_older_that_may_stay_and_where_nothing_follows_it() {
    let disk = Arc::<FakeDisk>::default();
    let hour_ms = 3600 * 1000;
    push(&mut backlog_in(&disk, Durability::Journal, bounds()), 0..3, 100, 1_000 * hour_ms);
    disk.crash(false);
    let mut backlog = backlog_in(&disk, Durability::Journal, Bounds { age: Duration::from_secs(60), ..bounds() });
    adopt(&mut backlog, Instant::now());
    push(&mut backlog, 10..13, 100, 1_002 * hour_ms);
    let at = |seconds| Instant::now() + Duration::from_secs(seconds);
    let segments = disk.segments();
    backlog.trim(1_002 * hour_ms, at(30));
    push(&mut backlog, 13..15, 100, 1_002 * hour_ms);
    assert_eq!(disk.segments(), segments + 1, "what comes later is kept as long as the first was");
    backlog.trim(1_003 * hour_ms, at(61));
    assert_eq!(backlog.lost(), Lost { expired: 5, ..Lost::default() });
    assert_eq!((disk.segments(), backlog.adopted().1), (1, Lost::default()));
}
