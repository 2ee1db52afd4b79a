//! Hook for the AWS SDK: an interceptor, one exchange for one operation with all its attempts.
//! It never returns an error, since that would fail the caller's operation.

use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{
                BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
                FinalizerInterceptorContextRef,
            },
        },
        runtime_components::RuntimeComponents,
    },
    http::Headers,
};
use aws_smithy_types::{
    body::SdkBody,
    config_bag::{ConfigBag, Storable, StoreReplace},
};
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use url::Url;

use super::tee::Tee;
use crate::{exchange::Exchange, provider::RequestHead, wire::Framing};

/// Traces the calls of an `aws_sdk_bedrockruntime::Client`.
///
/// ```ignore
/// let config = aws_sdk_bedrockruntime::config::Builder::from(&aws_config::load_from_env().await)
///     .interceptor(BedrockInterceptor)
///     .build();
/// let client = aws_sdk_bedrockruntime::Client::from_conf(config);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BedrockInterceptor;

/// The exchange of an operation, until its end or until a stream takes it.
#[derive(Debug)]
struct Running(Mutex<Option<Exchange>>);

impl Storable for Running {
    type Storer = StoreReplace<Self>;
}

impl Running {
    fn take(&self) -> Option<Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for BedrockInterceptor {
    fn name(&self) -> &'static str {
        "HoneyHive"
    }

    /// The first attempt starts the exchange; here the request knows its endpoint.
    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if config.load::<Running>().is_some() {
            return Ok(());
        }
        let request = context.request();
        let Ok(url) = request.uri().parse::<Url>() else { return Ok(()) };
        let headers = header_map(request.headers());
        let head = RequestHead::new(request.method(), &url, &headers);
        let exchange = Exchange::begin(&head, request.body().bytes());
        config.interceptor_state().store_put(Running(Mutex::new(exchange)));
        Ok(())
    }

    /// A stream takes the exchange along, since it ends after the operation.
    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let headers = header_map(response.headers());
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !response.status().is_success() || Framing::of(content_type).is_none() {
            return Ok(());
        }
        if let Some(mut exchange) = config.load::<Running>().and_then(Running::take) {
            exchange.head(response.status().as_u16(), &headers);
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            *response.body_mut() = SdkBody::from_body_1_x(Tee::new(body, exchange, |_| false));
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(mut exchange) = config.load::<Running>().and_then(Running::take) else { return Ok(()) };
        match context.response() {
            Some(response) => {
                exchange.head(response.status().as_u16(), &header_map(response.headers()));
                exchange.data(response.body().bytes().unwrap_or_default());
                exchange.end();
            }
            None => {
                let timed_out = |error: &aws_smithy_runtime_api::client::orchestrator::OrchestratorError<_>| {
                    error.is_timeout_error()
                };
                exchange.disconnected(matches!(context.output_or_error(), Some(Err(error)) if timed_out(error)));
            }
        }
        Ok(())
    }
}

fn header_map(headers: &Headers) -> HeaderMap {
    let pair =
        |(name, value): (&str, &str)| Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?));
    headers.iter().filter_map(pair).collect()
}
