//! Disks and spools that fail: F23 to F30, F73, F74. What a disk does in the middle of a write, and a power
//! cut (F24, F41), is also in the model test of the library, over a file system in memory.

use std::{fs, path::Path, process::Command, time::Duration};

use honeyhive_core::{Also, Durability, Health, store};
use rustix::fs::{CWD, FileType, Mode};

use super::{
    oracle::{Oracle, Step},
    world::{Dir, LIMIT, World, adopted, builder, check, end, note, skip, until, waiting},
};

/// Leaves spans behind, as a process does that ended while its server was down.
fn leave(dir: &Path, url: &str, numbers: std::ops::Range<i64>) {
    // One try, so that they are in one file.
    let wait = Duration::from_secs(10);
    let tracer = builder(url, dir).server_url(url).retry_waits(wait, wait).build().unwrap();
    let count = numbers.end - numbers.start;
    numbers.for_each(|number| end(&tracer, number));
    let report = tracer.shutdown(Duration::from_millis(500));
    assert_eq!((report.spooled(), report.dropped()), (count as u64, 0), "{report}");
}

/// An oracle that takes nothing yet.
fn closed() -> Oracle {
    let oracle = Oracle::start();
    oracle.always(Step::Status(503));
    oracle
}

/// A small file system of its own, where that can be had.
struct Mount(Dir);

impl Mount {
    fn new(size: &str) -> Option<Self> {
        let dir = Dir::new();
        fs::create_dir_all(&dir.0).unwrap();
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&dir.0).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(Self(dir))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0.0).output();
    }
}

#[test]
fn f23_and_f24_the_disk_is_full() {
    let Some(mount) = Mount::new("1m") else {
        skip("F24", "needs the right to mount; the model test of the library runs it in memory");
        return skip("F23", "needs the right to mount");
    };
    let mut world =
        World::with(|builder| builder.spool_dir(mount.0.0.join("spool")).queue_bytes(2 << 20).batch_size(50));
    world.oracle.always(Step::Status(503));
    for _ in 0..80 {
        world.produce(100);
        let _ = world.tracer.flush(Duration::from_millis(10));
    }
    let report = world.tracer.stats();
    check(&report);
    let health = world.tracer.health();
    assert!(health.reasons().iter().any(|reason| reason.contains("in memory only")), "{health:?}");
    let kept = waiting(&mount.0.0.join("spool"));
    assert!(!kept.is_empty() && kept.iter().all(|kept| kept.damaged() == 0), "no torn span is left");
    world.oracle.heal();
    let report = world.tracer.flush(LIMIT);
    check(&report);
    world.arrived(&report, report.dropped() as i64, 0);
    assert!(report.dropped() < 8_000 && report.pending() == 0, "{report}");
    note("F24", "tmpfs of 1 MiB filled: 0 torn spans in what was written");
    world.finish("F23", &report);
}

#[test]
fn f25_places_that_are_no_spool() {
    let dir = Dir::new();
    fs::create_dir_all(&dir.0).unwrap();
    fs::write(dir.0.join("file"), "in the way").unwrap();
    fs::create_dir(dir.0.join("open")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", dir.0.join("dangling")).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir.0.join("open"), fs::Permissions::from_mode(0o777)).unwrap();
    for place in ["file", "file/below", "open", "dangling", "\0"] {
        let mut world = World::with(|builder| builder.spool_dir(dir.0.join(place)));
        world.produce(50);
        world.all_arrive("F25", 0);
        let health = world.tracer.health();
        assert!(
            matches!(&health, Health::Degraded(reasons) if reasons[0].contains("cannot write to")),
            "{place}: {health:?}"
        );
    }
    assert_eq!(fs::read(dir.0.join("file")).unwrap(), b"in the way");
    // A place that comes to be is used.
    let mut world = World::with(|builder| builder.spool_dir(dir.0.join("a/b/c")));
    world.produce(10);
    world.all_arrive("F25", 0);
    assert!(world.tracer.health().is_ok());
    assert_eq!(fs::metadata(dir.0.join("a/b/c")).unwrap().permissions().mode() & 0o777, 0o700);
}

/// The one file that waits.
fn only_file(dir: &Dir) -> std::path::PathBuf {
    let files = dir.waiting();
    assert_eq!(files.len(), 1);
    files[0].path().to_owned()
}

#[test]
fn f26_a_file_torn_anywhere() {
    let (oracle, spool) = (closed(), Dir::new());
    leave(&spool.0, &oracle.url(), 0..40);
    let path = only_file(&spool);
    let whole = fs::read(&path).unwrap();
    let mut last = 40;
    for cut in (0..whole.len()).rev() {
        fs::write(&path, &whole[..cut]).unwrap();
        let kept = spool.waiting().remove(0);
        assert!(kept.spans() <= last, "cut at {cut}");
        assert!(kept.damaged() <= 1, "cut at {cut}");
        last = kept.spans();
    }
    // And through the whole way, in the last two hundred bytes.
    oracle.heal();
    for cut in (whole.len() - 200..whole.len()).rev().step_by(7) {
        fs::write(&path, &whole[..cut]).unwrap();
        let there = spool.waiting().remove(0);
        let tracer = builder(&oracle.url(), &spool.0).build().unwrap();
        end(&tracer, 40);
        let report = tracer.flush(LIMIT);
        check(&report);
        let (adopted, arrived) = (report.adopted(), report.adopted_delivered());
        assert_eq!((arrived, adopted), (there.spans() as u64, there.spans() as u64 + there.damaged()), "cut at {cut}");
        drop(tracer.shutdown(LIMIT));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Without it the process counts as one that lives, which it does.
        fs::write(path.with_file_name("lock"), "").unwrap();
    }
    note("F26", &format!("{} offsets read, 29 through a whole run: every whole span delivered", whole.len()));
}

#[test]
fn f27_a_bit_flipped_anywhere() {
    let (oracle, spool) = (closed(), Dir::new());
    leave(&spool.0, &oracle.url(), 0..60);
    let path = only_file(&spool);
    let whole = fs::read(&path).unwrap();
    let mut headers = 0;
    for at in (0..whole.len()).step_by(97) {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&path, &flipped).unwrap();
            let kept = spool.waiting().remove(0);
            let left = kept.read().map_or(0, |spans| spans.len());
            match left {
                59 => assert_eq!(kept.damaged(), 1, "byte {at}"),
                60 => assert_eq!(kept.damaged(), 0, "byte {at}"),
                0 => headers += 1,
                other => panic!("a flip at {at} costs {} spans", 60 - other),
            }
        }
    }
    // One that cannot be read at all is put aside, and the rest goes on.
    let mut flipped = whole;
    flipped[9] ^= 1;
    fs::write(&path, &flipped).unwrap();
    oracle.heal();
    let tracer = builder(&oracle.url(), &spool.0).build().unwrap();
    end(&tracer, 60);
    let report = tracer.flush(LIMIT);
    check(&report);
    assert!(report.is_complete(), "{report}");
    assert_eq!(spool.refused().len(), 1, "it is there to be looked at");
    note(
        "F27",
        &format!("every bit of each 97th byte: one span lost, or the file where the header is hit ({headers})"),
    );
}

#[test]
fn what_is_damaged_of_another_run_is_told() {
    let (oracle, spool) = (closed(), Dir::new());
    leave(&spool.0, &oracle.url(), 0..60);
    let path = only_file(&spool);
    let mut damaged = fs::read(&path).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&path, &damaged).unwrap();
    oracle.heal();
    let tracer = builder(&oracle.url(), &spool.0).build().unwrap();
    end(&tracer, 60);
    let report = tracer.flush(LIMIT);
    assert_eq!((report.adopted(), report.adopted_delivered(), report.adopted_lost()), (60, 59, 1), "{report}");
    assert!(report.to_string().contains("1 from earlier runs lost"), "{report}");
    assert!(!tracer.health().is_ok());
}

#[test]
fn f28_things_that_are_no_segments() {
    let (oracle, spool) = (closed(), Dir::new());
    leave(&spool.0, &oracle.url(), 0..10);
    let dir = only_file(&spool).parent().unwrap().to_owned();
    let home = dir.parent().unwrap().to_owned();
    let name = |number: u32| dir.join(format!("0000000000001-{number:06}.seg"));
    fs::write(name(1), "").unwrap();
    fs::write(name(2), "x").unwrap();
    fs::write(name(3), [0xff; 5000]).unwrap();
    fs::write(name(4), [b"HHSP".as_slice(), &[9, 0], &[0; 100]].concat()).unwrap();
    fs::write(dir.join("notes.txt"), "somebody's").unwrap();
    fs::write(home.join("a file"), "somebody's").unwrap();
    fs::create_dir(name(5)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", name(6)).unwrap();
    rustix::fs::mknodat(CWD, name(7), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::create_dir(home.join("empty-dir")).unwrap();
    oracle.heal();
    let tracer = builder(&oracle.url(), &spool.0).build().unwrap();
    end(&tracer, 10);
    let report = tracer.flush(LIMIT);
    check(&report);
    assert_eq!((report.delivered(), report.adopted_delivered()), (1, 10), "{report}");
    assert_eq!(oracle.numbers(), (0..=10).collect::<Vec<_>>());
    assert!(dir.join("notes.txt").exists() && home.join("a file").exists() && name(6).is_symlink());
    note("F28", "empty, tiny, garbage, newer, directory, link and pipe left alone or put aside; 10 of 10 delivered");
}

#[test]
fn f73_a_spool_of_another_key_or_server() {
    let (first, second, spool) = (closed(), Oracle::start(), Dir::new());
    leave(&spool.0, &first.url(), 0..20);
    let other_key = builder(&first.url(), &spool.0).api_key("another-key").build().unwrap();
    let other_server = builder(&second.url(), &spool.0).build().unwrap();
    first.heal();
    for tracer in [&other_key, &other_server] {
        end(tracer, 100);
        let report = tracer.flush(LIMIT);
        assert_eq!((report.delivered(), adopted(&report)), (1, (0, 0)), "{report}");
        drop(tracer.shutdown(LIMIT));
    }
    assert_eq!((first.numbers(), second.numbers()), (vec![100], vec![100]));
    assert_eq!(spool.waiting().len(), 1, "it waits for its own");
    let same = builder(&first.url(), &spool.0).build().unwrap();
    end(&same, 101);
    assert_eq!(adopted(&same.flush(LIMIT)), (20, 20));
    note("F73", "0 spans to another key or server; delivered once the first comes back");
}

#[test]
fn f74_formats_of_other_versions() {
    let (oracle, spool) = (closed(), Dir::new());
    leave(&spool.0, &oracle.url(), 0..5);
    let newer = spool.0.join("v2/abc-def/1-1");
    fs::create_dir_all(&newer).unwrap();
    fs::write(newer.join("0000000000001-000001.seg"), "of a later version").unwrap();
    // Segments as each version wrote them, kept since its format was fixed.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/fixtures");
    let dir = only_file(&spool).parent().unwrap().to_owned();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    for version in [1, 2] {
        fs::copy(fixtures.join(format!("v{version}.seg")), dir.join(format!("{now:013}-00090{version}.seg"))).unwrap();
    }
    oracle.heal();
    let tracer = builder(&oracle.url(), &spool.0).build().unwrap();
    end(&tracer, 5);
    let report = tracer.flush(LIMIT);
    assert_eq!(adopted(&report), (15, 15), "{report}");
    assert_eq!((oracle.taken().0, oracle.changed()), (6, vec![]), "each version has the same five");
    assert!(newer.join("0000000000001-000001.seg").exists(), "left for who can read it");
    note("F74", "files of versions 1 and 2 from the repository are read, a later spool is left alone");
}

#[test]
fn spans_of_several_sessions_keep_their_own() {
    let (oracle, spool) = (closed(), Dir::new());
    let tracer = builder(&oracle.url(), &spool.0).build().unwrap();
    let sessions = ["one", "two", "three"].map(|name| tracer.new_session(name));
    for number in 0..300 {
        let session = &sessions[number % 7 % 3];
        let span = tracer.span("work").session(session).start();
        span.set_attribute("number", number);
        span.set_attribute("made for", session.id());
    }
    assert_eq!(tracer.shutdown(Duration::from_millis(500)).spooled(), 300);
    oracle.heal();
    let next = builder(&oracle.url(), &spool.0).build().unwrap();
    end(&next, 300);
    assert_eq!(adopted(&next.flush(LIMIT)), (300, 300));
    assert_eq!((oracle.taken(), oracle.changed()), ((301, 0), vec![]));
}

#[test]
fn with_sync_spans_of_many_threads_are_on_disk_once_they_ended() {
    const THREADS: usize = 16;
    const SPANS: i64 = 20;
    let (oracle, spool) = (closed(), Dir::new());
    let tracer = builder(&oracle.url(), &spool.0).durability(Durability::Sync).build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..SPANS).for_each(|number| end(&tracer, number)));
        }
    });
    let on_disk: usize = spool.waiting().iter().map(store::Kept::spans).sum();
    assert_eq!(on_disk, THREADS * SPANS as usize);
    check(&tracer.shutdown(Duration::from_millis(100)));
}

#[test]
fn modes_differ_as_they_say() {
    for (durability, when_up, when_down) in [
        (Durability::Memory, false, false),
        (Durability::Spill, false, true),
        (Durability::Journal, true, true),
        (Durability::Fsync, true, true),
        (Durability::Sync, true, true),
    ] {
        let mut world = World::with(|builder| builder.durability(durability).flush_interval(Duration::from_secs(60)));
        world.produce(10);
        if durability == Durability::Sync {
            assert!(!world.spool.waiting().is_empty(), "on disk once end() returns");
        }
        let seen = || world.spool.waiting().iter().any(|kept| kept.spans() == 10);
        match when_up {
            true => until("the journal", seen),
            false => {
                std::thread::park_timeout(Duration::from_millis(100));
                assert!(!seen(), "{durability:?}");
            }
        }
        world.oracle.always(Step::Status(503));
        let report = world.tracer.flush(Duration::from_millis(500));
        assert_eq!(report.spooled() == 10, when_down, "{durability:?} {report}");
        let report = world.tracer.shutdown(Duration::from_millis(100));
        check(&report);
        assert_eq!(report.spooled() + report.dropped(), 10);
        assert_eq!(!world.spool.waiting().is_empty(), when_down, "{durability:?}");
    }
}

#[test]
fn what_is_kept_is_pushed_in_pieces_that_the_server_takes() {
    let (oracle, spool) = (closed(), Dir::new());
    leave(&spool.0, &oracle.url(), 0..400);
    let limit = 20_000;
    let small = Oracle::start();
    small.rule(move |seen| (seen.bytes > limit).then_some(Step::Status(413)));
    let sender = builder(&small.url(), &Dir::new().0).build().unwrap();
    let forwarded = sender.forward_also(&spool.0, LIMIT, &[Also::Others]).unwrap();
    assert_eq!((forwarded.files(), forwarded.kept()), (1, 0));
    assert_eq!(small.numbers(), (0..400).collect::<Vec<_>>());
    let refused = small.requests().iter().filter(|seen| seen.bytes > limit).count();
    assert!((1..12).contains(&refused), "what it takes is remembered: {refused} refusals");
}

#[test]
fn what_a_server_takes_in_no_form_stays_and_so_does_what_it_rejects() {
    let (oracle, spool) = (closed(), Dir::new());
    leave(&spool.0, &oracle.url(), 0..3);
    oracle.always(Step::Status(413));
    let sender = builder(&oracle.url(), &Dir::new().0).build().unwrap();
    let forwarded = sender.forward(&spool.0, LIMIT).unwrap();
    assert_eq!((forwarded.files(), forwarded.kept()), (0, 1));
    assert_eq!(store::list(&spool.0).unwrap()[0].spans(), 3);
}

#[test]
fn what_does_not_arrive_of_a_file_is_left_and_nothing_is_pushed_twice() {
    for status in [400, 403, 504] {
        let (oracle, spool) = (closed(), Dir::new());
        leave(&spool.0, &oracle.url(), 0..1_300);
        oracle.heal();
        oracle.rule(move |seen| seen.ids.contains(&600).then_some(Step::Status(status)));
        let sender = builder(&oracle.url(), &Dir::new().0).build().unwrap();
        let forwarded = sender.forward(&spool.0, LIMIT).unwrap();
        assert_eq!((forwarded.files(), forwarded.kept()), (0, 1), "{status}");
        let (taken, twice) = oracle.taken();
        assert_eq!((1_300 - taken, twice), (512, 0), "{status}");
        let kept = store::list(&spool.0).unwrap();
        let kind = if status == 400 { store::Kind::Refused } else { store::Kind::Waiting };
        assert_eq!(kept.iter().map(|it| (it.kind(), it.spans())).collect::<Vec<_>>(), [(kind, 512)], "{status}");
        oracle.heal();
        let forwarded = sender.forward_also(&spool.0, LIMIT, &[Also::Refused]).unwrap();
        assert_eq!((forwarded.files(), forwarded.kept(), oracle.taken()), (1, 0, (1_300, 0)), "{status}");
        assert!(store::list(&spool.0).unwrap().is_empty());
    }
}

#[test]
fn who_removes_the_lock_of_a_process_that_lives_does_not_let_another_send_for_it() {
    let mut world = World::with(|builder| builder.retry_waits(LIMIT, LIMIT));
    world.oracle.script([Step::Status(503)]);
    world.produce(50);
    world.until("the file", |world| world.tracer.stats().spooled() == 50);
    let lock = world.spool.waiting()[0].path().with_file_name("lock");
    fs::remove_file(lock).unwrap();
    let next = builder(&world.oracle.url(), &world.spool.0).build().unwrap();
    end(&next, 50);
    let report = next.flush(LIMIT);
    assert_eq!((report.delivered(), adopted(&report)), (1, (0, 0)), "{report}");
    world.produced += 1;
    let report = world.tracer.shutdown(LIMIT);
    check(&report);
    assert_eq!((report.delivered() + report.spooled(), world.oracle.taken().1), (50, 0), "{report}");
}

#[test]
fn what_is_kept_can_be_listed_and_read() {
    let (oracle, spool) = (closed(), Dir::new());
    leave(&spool.0, &oracle.url(), 0..7);
    let kept = spool.waiting().remove(0);
    assert_eq!((kept.spans(), kept.is_in_use(), kept.damaged()), (7, false, 0));
    assert_eq!(kept.destination(), format!("{}/opentelemetry/v1/traces", oracle.url()));
    assert!(kept.process().starts_with(&std::process::id().to_string()));
    assert!(kept.bytes() > 1_000 && kept.created().elapsed().unwrap() < Duration::from_secs(600));
    let spans = kept.read().unwrap();
    assert_eq!(spans[3].attribute("number"), Some(3.into()));
    let json: serde_json::Value = serde_json::from_str(&kept.otlp_json().unwrap()[0]).unwrap();
    assert_eq!(json["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len(), 7);
    // Somebody else's server takes them when it is told to.
    let other = Oracle::start();
    let sender = builder(&other.url(), &Dir::new().0).api_key("another").build().unwrap();
    let left = sender.forward(&spool.0, LIMIT).unwrap();
    assert_eq!((left.files(), left.others()), (0, 1), "it is for another server and another key");
    let forwarded = sender.forward_also(&spool.0, LIMIT, &[Also::Others]).unwrap();
    assert_eq!((forwarded.files(), forwarded.kept(), forwarded.others()), (1, 0, 0));
    assert_eq!(other.numbers(), (0..7).collect::<Vec<_>>());
    assert!(store::list(&spool.0).unwrap().is_empty());
}
