#[honeyhive::trace(visibility = "none")]
fn f() {}

#[honeyhive::trace(visibility = Visibility::Nothing)]
fn g() {}

#[honeyhive::trace(visibility = 3)]
fn h() {}

fn main() {}
