use honeyhive::trace;

#[trace]
async fn f() -> Result<u32, std::fmt::Error> {
    let n: u32 = "1".parse()?;
    Ok(n)
}

fn main() {}
