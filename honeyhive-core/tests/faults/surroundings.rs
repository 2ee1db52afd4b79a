//! What a process finds around it: limits of files, a standard error that nobody reads, a directory that it leaves, a child
//! that it forks and that outlives it. Rows of no number: they came after the matrix.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use honeyhive_core::{Console, HoneyHiveTracer};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    oracle::{Oracle, Step},
    world::{Dir, LIMIT, adopted, builder, check, end, until},
};

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// The program; not a test by itself. It says on standard output how its spans fared.
#[test]
#[ignore = "run by the other tests of this file, in a process of its own"]
fn child() {
    let (url, dir) = (variable("CHILD_URL"), variable("CHILD_DIR"));
    let sent = || builder(&url, Path::new(&dir)).build().unwrap();
    let local = |dir: &str| HoneyHiveTracer::init().local_dir(dir).console(Console::Tree).build().unwrap();
    let tracer = match variable("CHILD_MODE").as_str() {
        "small files" => {
            let tracer = sent();
            (0..2_000).for_each(|number| end(&tracer, number));
            tracer
        }
        "unread" => {
            let tracer = local(&dir);
            (0..5_000).for_each(|number| end(&tracer, number));
            tracer
        }
        "moves" => {
            env::set_current_dir(&dir).unwrap();
            let tracer = local("here");
            end(&tracer, 0);
            let _ = tracer.flush(LIMIT);
            env::set_current_dir("/proc").unwrap();
            end(&tracer, 1);
            tracer
        }
        "forks" => fork_and_die(&sent(), Path::new(&dir)),
        other => panic!("no mode {other:?}"),
    };
    let report = tracer.shutdown(Duration::from_secs(3));
    check(&report);
    println!("ended {} dropped {} kept {}", report.ended(), report.dropped(), report.spooled() + report.delivered());
}

/// Leaves spans, and a child that lives on.
#[allow(unsafe_code, reason = "a test of fork needs fork")]
fn fork_and_die(tracer: &HoneyHiveTracer, dir: &Path) -> ! {
    (0..100).for_each(|number| end(tracer, number));
    until("all are written", || tracer.stats().spooled() == 100);
    // SAFETY: the child only waits.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        thread::park_timeout(LIMIT);
        // SAFETY: it ends at once.
        unsafe { libc::_exit(0) }
    }
    fs::write(dir.join("child"), pid.to_string()).unwrap();
    // SAFETY: as above; it is how a daemon leaves its starter.
    unsafe { libc::_exit(0) }
}

fn command(mode: &str, url: &str, dir: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "surroundings::child", "--ignored", "--nocapture"]).env_clear().stdin(Stdio::null());
    command.env("CHILD_MODE", mode).env("CHILD_URL", url).env("CHILD_DIR", dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_limit_of_the_size_of_files_ends_no_host_and_loses_nothing() {
    let (oracle, spool) = (Oracle::start(), Dir::new());
    oracle.always(Step::Status(503));
    let child = command("small files", &oracle.url(), &spool.0);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 64; exec \"$0\" \"$@\""]).arg(child.get_program()).args(child.get_args());
    let set = child.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let output = limited.env_clear().envs(set).env("PATH", variable("PATH")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{:?}", output.status);
    assert!(said.contains("ended 2000 dropped 0 kept 2000"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    oracle.heal();
    let next = builder(&oracle.url(), &spool.0).build().unwrap();
    until("all that was left is taken over", || next.flush(LIMIT).adopted_delivered() == 2_000);
}

#[test]
fn a_standard_error_that_nobody_reads_holds_nobody_up() {
    let dir = Dir::new();
    let began = Instant::now();
    let mut child = command("unread", "", &dir.0).spawn().unwrap();
    // Held, and not read.
    let unread = child.stderr.take();
    let said = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    assert!(child.wait().unwrap().success() && began.elapsed() < LIMIT, "{said}");
    assert!(said.contains("ended 5000 dropped 0 kept 5000"), "{said}");
    drop(unread);
}

#[test]
fn local_mode_stays_where_it_began() {
    let dir = Dir::new();
    fs::create_dir_all(&dir.0).unwrap();
    let output = command("moves", "", &dir.0).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("ended 2 dropped 0"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let files = fs::read_dir(dir.0.join("here")).unwrap().map(|entry| entry.unwrap().path());
    let lines = files.filter(|path| path.to_string_lossy().contains("traces-"));
    assert_eq!(lines.map(|path| fs::read_to_string(path).unwrap().lines().count()).sum::<usize>(), 2);
}

#[test]
fn a_child_that_outlives_its_parent_holds_nothing_of_it() {
    let (oracle, spool) = (Oracle::start(), Dir::new());
    oracle.always(Step::Status(503));
    fs::create_dir_all(&spool.0).unwrap();
    fs::set_permissions(&spool.0, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut parent = command("forks", &oracle.url(), &spool.0);
    parent.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).status().unwrap();
    let child: i32 = fs::read_to_string(spool.0.join("child")).unwrap().parse().unwrap();
    oracle.heal();
    let next = builder(&oracle.url(), &spool.0).build().unwrap();
    end(&next, -1);
    let report = next.flush(LIMIT);
    kill_process(Pid::from_raw(child).unwrap(), Signal::KILL).unwrap();
    assert_eq!(adopted(&report), (100, 100), "{report}");
}
