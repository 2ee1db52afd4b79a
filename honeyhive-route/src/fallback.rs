//! One call, several providers: the first that answers wins. All are tried in order of priority, then all
//! again, so many rounds; each try is a span of its own. Nothing waits and nothing is retried beyond what is
//! asked for: what a single provider needs of timeouts, limits and retries is put around its own call, with
//! tower for instance.

use std::{borrow::Cow, error::Error, fmt, future::Future, pin::Pin};

use honeyhive_core::{Span, Status};

use crate::span::{Underway, start, told};

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Pause<'a> = Box<dyn Fn(u32) -> Pending<'a, ()> + Send + Sync + 'a>;
type GivesUp<'a, E> = Box<dyn Fn(&E) -> bool + Send + Sync + 'a>;
type Call<'a, T> = Box<dyn Fn() -> Pending<'a, T> + Send + Sync + 'a>;

/// A call that falls back from one provider to the next.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use honeyhive_route::Fallback;
///
/// async fn ask(provider: &str) -> Result<String, String> {
///     match provider {
///         "openai" => Err("rate limited".into()),
///         other => Ok(format!("{other} answers")),
///     }
/// }
///
/// let answer = Fallback::new("agent.resilient")
///     .provider("openai", "gpt-4", || ask("openai"))
///     .provider("anthropic", "claude-3-sonnet", || ask("anthropic"))
///     .run()
///     .await?;
/// assert_eq!((answer.value.as_str(), answer.provider.as_ref()), ("anthropic answers", "anthropic"));
/// assert!(answer.fell_back());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Attributes of the span: `resilience.max_retries`, `resilience.providers_available`, and afterwards
/// `success.provider` (`none` where all failed), `success.attempt` (the round) and `success.total_attempts`
/// (calls made). One that is given up, as by a timeout around it, is marked as cancelled, and so is the call that it was at. Each call is a span `attempt_<round>.provider_<name>` with `provider.name`, `provider.model`,
/// `provider.priority`, `attempt.number`, `provider.success` and, where it failed, `provider.error`.
#[must_use = "nothing is called until `.run()`"]
pub struct Fallback<'a, T, E> {
    name: Cow<'static, str>,
    rounds: u32,
    providers: Vec<Provider<'a, T, E>>,
    pause: Option<Pause<'a>>,
    gives_up: Option<GivesUp<'a, E>>,
}

struct Provider<'a, T, E> {
    name: Cow<'static, str>,
    model: Cow<'static, str>,
    call: Call<'a, Result<T, E>>,
}

/// What the first provider that answered said.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use honeyhive_route::Fallback;
///
/// let answer = Fallback::new("ask")
///     .provider("openai", "gpt-4", || async { Err("rate limited") })
///     .provider("anthropic", "claude-3-sonnet", || async { Ok("Paris") })
///     .run()
///     .await?;
/// assert_eq!((answer.value, answer.provider.as_ref()), ("Paris", "anthropic"));
/// assert_eq!((answer.round, answer.priority, answer.fell_back()), (1, 2, true));
/// assert_eq!(answer.failures[0].error, "rate limited");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer<T, E> {
    /// What it returned.
    pub value: T,
    /// The calls that failed before, in order.
    pub failures: Vec<Failure<E>>,
    /// Its name.
    pub provider: Cow<'static, str>,
    /// The round in which it answered, from 1.
    pub round: u32,
    /// Its place in the order of priority, from 1.
    pub priority: usize,
}

impl<T, E> Answer<T, E> {
    /// Returns whether another call had failed before.
    pub fn fell_back(&self) -> bool {
        !self.failures.is_empty()
    }
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure<E> {
    /// The provider.
    pub provider: Cow<'static, str>,
    /// The round, from 1.
    pub round: u32,
    /// What it said.
    pub error: E,
}

/// No provider answered.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use honeyhive_route::Fallback;
///
/// let failed = Fallback::new("ask")
///     .provider("openai", "gpt-4", || async { Err::<(), _>("rate limited") })
///     .provider("anthropic", "claude-3-sonnet", || async { Err("overloaded") })
///     .run()
///     .await
///     .unwrap_err();
/// assert_eq!(failed.to_string(), "all 2 calls failed, the last to anthropic: overloaded");
/// let first = &failed.failures()[0];
/// assert_eq!((first.provider.as_ref(), first.round, first.error), ("openai", 1, "rate limited"));
/// assert_eq!(failed.into_last(), Some("overloaded"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllFailed<E> {
    failures: Vec<Failure<E>>,
}

impl<E> AllFailed<E> {
    /// Returns the calls that failed, in order; none where there was no provider.
    pub fn failures(&self) -> &[Failure<E>] {
        &self.failures
    }

    /// Returns the last error.
    pub fn into_last(mut self) -> Option<E> {
        self.failures.pop().map(|failure| failure.error)
    }
}

impl<E: fmt::Display> fmt::Display for AllFailed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failures.last() {
            Some(Failure { provider, error, .. }) => {
                write!(f, "all {} calls failed, the last to {provider}: {error}", self.failures.len())
            }
            None => f.write_str("there is no provider to call: add one with `.provider(…)`"),
        }
    }
}

/// The last error is in the text. It is no [`source`](Error::source), so that an error that is none itself, such as
/// a text or a boxed one, will do.
impl<E: fmt::Display + fmt::Debug> Error for AllFailed<E> {}

impl<'a, T, E: fmt::Display> Fallback<'a, T, E> {
    /// Names the span around all calls. Without further settings there is one round.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), rounds: 1, providers: vec![], pause: None, gives_up: None }
    }

    /// Adds a provider, below those that are there in priority.
    pub fn provider<F, Fut>(
        mut self,
        name: impl Into<Cow<'static, str>>,
        model: impl Into<Cow<'static, str>>,
        call: F,
    ) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<T, E>> + Send + 'a,
    {
        let call: Call<'a, Result<T, E>> = Box::new(move || Box::pin(call()));
        self.providers.push(Provider { name: name.into(), model: model.into(), call });
        self
    }

    /// Sets how often all providers are tried. Defaults to 1; 0 counts as 1.
    pub fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    /// Waits before each round but the first; `pause` gets its number, 2 and up. Defaults to not waiting.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # async fn sleep(_: std::time::Duration) {}
    /// use honeyhive_route::Fallback;
    /// use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
    ///
    /// let calls = AtomicU32::new(0);
    /// let answer = Fallback::new("ask")
    ///     .provider("openai", "gpt-4", || async {
    ///         match calls.fetch_add(1, Ordering::Relaxed) {
    ///             0 => Err("rate limited"),
    ///             _ => Ok("Paris"),
    ///         }
    ///     })
    ///     .rounds(3)
    ///     .pause(|round| sleep(Duration::from_secs(1) * round))
    ///     .run()
    ///     .await?;
    /// assert_eq!((answer.value, answer.round), ("Paris", 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pause<Fut: Future<Output = ()> + Send + 'a>(
        mut self,
        pause: impl Fn(u32) -> Fut + Send + Sync + 'a,
    ) -> Self {
        self.pause = Some(Box::new(move |round| Box::pin(pause(round))));
        self
    }

    /// Says of which errors no other call would make a difference, such as a request that is wrong in itself.
    /// Defaults to none.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use honeyhive_route::Fallback;
    ///
    /// let failed = Fallback::new("ask")
    ///     .provider("openai", "gpt-4", || async { Err::<(), _>("the prompt is too long") })
    ///     .provider("anthropic", "claude-3-sonnet", || async { Ok(()) })
    ///     .give_up_if(|error| error.contains("too long"))
    ///     .run()
    ///     .await
    ///     .unwrap_err();
    /// assert_eq!(failed.failures().len(), 1, "anthropic was not asked");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn give_up_if(mut self, gives_up: impl Fn(&E) -> bool + Send + Sync + 'a) -> Self {
        self.gives_up = Some(Box::new(gives_up));
        self
    }

    /// Calls one provider after the other until one answers.
    ///
    /// # Errors
    ///
    /// When none did, with every error.
    pub async fn run(&self) -> Result<Answer<T, E>, AllFailed<E>> {
        let mut span = Underway::new(start(self.name.clone()), |span| span.set_attribute("success.provider", "none"));
        span.set_attribute("resilience.max_retries", self.rounds);
        span.set_attribute("resilience.providers_available", self.providers.len());
        let mut failures = vec![];
        let answer = span.scope(self.all_rounds(&mut failures)).await;
        span.is_over();
        span.set_attribute("success.total_attempts", failures.len() + usize::from(answer.is_some()));
        match answer {
            Some(answer) => {
                span.set_attribute("success.provider", answer.provider.clone());
                span.set_attribute("success.attempt", answer.round);
                Ok(Answer { failures, ..answer })
            }
            None => {
                let failed = AllFailed { failures };
                span.set_attribute("success.provider", "none");
                span.record_error(&failed);
                Err(failed)
            }
        }
    }

    /// Returns the first answer, and what failed before it apart.
    async fn all_rounds(&self, failures: &mut Vec<Failure<E>>) -> Option<Answer<T, E>> {
        for round in 1..=self.rounds {
            if let Some(pause) = self.pause.as_ref().filter(|_| round > 1) {
                pause(round).await;
            }
            for (at, provider) in self.providers.iter().enumerate() {
                match provider.attempt(round, at + 1).await {
                    Ok(value) => {
                        let (provider, priority) = (provider.name.clone(), at + 1);
                        return Some(Answer { value, failures: vec![], provider, round, priority });
                    }
                    Err(error) => {
                        let gives_up = self.gives_up.as_ref().is_some_and(|gives_up| gives_up(&error));
                        failures.push(Failure { provider: provider.name.clone(), round, error });
                        if gives_up {
                            return None;
                        }
                    }
                }
            }
        }
        None
    }
}

impl<T, E: fmt::Display> Provider<'_, T, E> {
    async fn attempt(&self, round: u32, priority: usize) -> Result<T, E> {
        let span = start(format!("attempt_{round}.provider_{}", self.name));
        let mut span = Underway::new(span, |span| span.set_attribute("provider.success", false));
        span.set_attribute("provider.name", self.name.clone());
        span.set_attribute("provider.model", self.model.clone());
        span.set_attribute("provider.priority", priority);
        span.set_attribute("attempt.number", round);
        let result = span.scope(async { (self.call)().await }).await;
        span.is_over();
        note(&span, &result);
        result
    }
}

fn note<T, E: fmt::Display>(span: &Span, result: &Result<T, E>) {
    span.set_attribute("provider.success", result.is_ok());
    if let Err(error) = result {
        let text = told(span, error);
        span.set_attribute("provider.error", text.clone());
        span.set_status(Status::error(text));
    }
}

impl<T, E> fmt::Debug for Fallback<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let providers: Vec<_> = self.providers.iter().map(|provider| &provider.name).collect();
        f.debug_struct("Fallback")
            .field("name", &self.name)
            .field("rounds", &self.rounds)
            .field("providers", &providers)
            .finish()
    }
}
