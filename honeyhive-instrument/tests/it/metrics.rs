//! Metrics, as a meter of the user's own provider gets them.

use honeyhive_core::testing::Recorder;
use honeyhive_instrument::{openinference, otel_genai, pricing::GenaiPrices, traceloop};
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData, ResourceMetrics},
};
use serde_json::json;

use crate::{fixture::Fixture, instrumentors::turn, messages::Messages};

/// Traces some exchanges with metrics, and shows what was measured: name, unit, attributes, sum.
macro_rules! measured {
    ($instrumentor:expr, $($fixture:literal),*) => {{
        let _turn = turn().await;
        let exporter = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
        let tracer = Recorder::new().tracer();
        let instrumentor = $instrumentor.metrics(&meters);
        instrumentor.instrument(tracer.provider()).unwrap();
        $(Fixture::of($fixture).exchange();)*
        instrumentor.uninstrument();
        meters.force_flush().unwrap();
        show(&exporter.get_finished_metrics().unwrap())
    }};
}

fn show(all: &[ResourceMetrics]) -> String {
    let metrics = all.iter().flat_map(ResourceMetrics::scope_metrics).flat_map(|scope| scope.metrics());
    let mut lines = vec![];
    for metric in metrics {
        let mut line = |attributes: Vec<String>, sum: String| {
            let mut attributes = attributes;
            attributes.sort();
            lines.push(format!("{} [{}] {} {}", metric.name(), metric.unit(), sum, attributes.join(" ")));
        };
        macro_rules! points {
            ($points:expr, $sum:expr) => {
                for point in $points {
                    let shown = point
                        .attributes()
                        .map(|kv| format!("{}={}", kv.key.as_str().rsplit('.').next().unwrap(), kv.value));
                    line(shown.collect(), $sum(point));
                }
            };
        }
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Histogram(data)) => {
                points!(data.data_points(), |point: &opentelemetry_sdk::metrics::data::HistogramDataPoint<u64>| point
                    .sum()
                    .to_string())
            }
            AggregatedMetrics::U64(MetricData::Sum(data)) => {
                points!(data.data_points(), |point: &opentelemetry_sdk::metrics::data::SumDataPoint<u64>| point
                    .value()
                    .to_string())
            }
            AggregatedMetrics::F64(MetricData::Histogram(data)) => {
                points!(data.data_points(), |point: &opentelemetry_sdk::metrics::data::HistogramDataPoint<f64>| {
                    assert!(point.bounds().count() > 5, "buckets that fit");
                    if metric.unit() == "s" { "(time)".to_owned() } else { format!("{:.6}", point.sum()) }
                })
            }
            other => panic!("{other:?}"),
        }
    }
    lines.sort();
    lines.join("\n")
}

#[tokio::test]
async fn traceloop_measures_tokens_choices_durations_and_first_tokens() {
    let shown =
        measured!(traceloop::OpenAIInstrumentor::new(), "openai/chat", "openai/chat_stream", "openai/embeddings");
    expect_test::expect![[r#"
        gen_ai.client.generation.choices [choice] 1 address=api.openai.com finish_reason=stop model=gpt-4o model=gpt-4o-2024-08-06 name=chat name=openai stream=true
        gen_ai.client.generation.choices [choice] 1 address=api.openai.com finish_reason=stop model=gpt-4o-mini model=gpt-4o-mini-2024-07-18 name=chat name=openai stream=false
        gen_ai.client.operation.duration [s] (time) address=api.openai.com model=gpt-4o model=gpt-4o-2024-08-06 name=chat name=openai stream=true
        gen_ai.client.operation.duration [s] (time) address=api.openai.com model=gpt-4o-mini model=gpt-4o-mini-2024-07-18 name=chat name=openai stream=false
        gen_ai.client.operation.duration [s] (time) address=api.openai.com model=text-embedding-3-small model=text-embedding-3-small name=embeddings name=openai stream=false
        gen_ai.client.token.usage [token] 1149 address=api.openai.com model=gpt-4o-mini model=gpt-4o-mini-2024-07-18 name=chat name=openai stream=false type=input
        gen_ai.client.token.usage [token] 2 address=api.openai.com model=text-embedding-3-small model=text-embedding-3-small name=embeddings name=openai stream=false type=input
        gen_ai.client.token.usage [token] 315 address=api.openai.com model=gpt-4o-mini model=gpt-4o-mini-2024-07-18 name=chat name=openai stream=false type=output
        gen_ai.server.time_to_first_token [s] (time) address=api.openai.com model=gpt-4o model=gpt-4o-2024-08-06 name=chat name=openai stream=true
        llm.chat_completions.streaming_time_to_generate [s] (time) address=api.openai.com model=gpt-4o model=gpt-4o-2024-08-06 name=chat name=openai stream=true
        llm.openai.embeddings.vector_size [element] 4 address=api.openai.com model=text-embedding-3-small model=text-embedding-3-small name=embeddings name=openai stream=false"#]].assert_eq(&shown);
}

#[tokio::test]
async fn traceloop_measures_images() {
    let shown = measured!(traceloop::OpenAIInstrumentor::new(), "openai/images");
    expect_test::expect!["gen_ai.client.operation.duration [s] (time) address=api.openai.com model=dall-e-2 model=dall-e-2 name=image_gen name=openai stream=false"].assert_eq(&shown);
}

#[tokio::test]
async fn opentelemetry_measures_tokens_and_durations() {
    let shown = measured!(otel_genai::AnthropicInstrumentor::new(), "anthropic/messages");
    expect_test::expect![[r#"
        gen_ai.client.operation.duration [s] (time) address=api.anthropic.com model=claude-3-opus-20240229 model=claude-3-opus-20240229 name=anthropic name=chat port=443
        gen_ai.client.token.usage [{token}] 17 address=api.anthropic.com model=claude-3-opus-20240229 model=claude-3-opus-20240229 name=anthropic name=chat port=443 type=input
        gen_ai.client.token.usage [{token}] 220 address=api.anthropic.com model=claude-3-opus-20240229 model=claude-3-opus-20240229 name=anthropic name=chat port=443 type=output"#]].assert_eq(&shown);
}

#[tokio::test]
async fn opentelemetry_measures_the_chunks_of_a_stream() {
    let shown = measured!(otel_genai::OpenAIInstrumentor::new(), "openai/chat_stream");
    expect_test::expect![[r#"
        gen_ai.client.operation.duration [s] (time) address=api.openai.com model=gpt-4o model=gpt-4o-2024-08-06 name=chat name=openai port=443
        gen_ai.client.operation.time_per_output_chunk [s] (time) address=api.openai.com model=gpt-4o model=gpt-4o-2024-08-06 name=chat name=openai port=443
        gen_ai.client.operation.time_to_first_chunk [s] (time) address=api.openai.com model=gpt-4o model=gpt-4o-2024-08-06 name=chat name=openai port=443"#]].assert_eq(&shown);
}

#[tokio::test]
async fn opentelemetry_measures_requests_of_mcp_on_both_sides() {
    let _turn = turn().await;
    let exporter = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let tracer = Recorder::new().tracer();
    let instrumentor = otel_genai::MCPInstrumentor::new().metrics(&meters);
    instrumentor.instrument(tracer.provider()).unwrap();
    Messages::all().into_iter().take(3).for_each(|messages| messages.pass());
    instrumentor.uninstrument();
    meters.force_flush().unwrap();
    let shown = show(&exporter.get_finished_metrics().unwrap());
    expect_test::expect![[r#"
        mcp.client.operation.duration [s] (time) name=add name=tools/call type=tool_error
        mcp.client.operation.duration [s] (time) name=elicitation/create type=McpError
        mcp.client.operation.duration [s] (time) name=resources/read
        mcp.server.operation.duration [s] (time) name=add name=tools/call type=tool_error
        mcp.server.operation.duration [s] (time) name=elicitation/create type=McpError
        mcp.server.operation.duration [s] (time) name=resources/read"#]]
    .assert_eq(&shown);
}

#[tokio::test]
async fn traceloop_measures_what_a_guardrail_did() {
    let shown = measured!(traceloop::BedrockInstrumentor::new(), "bedrock/titan_guardrail");
    expect_test::expect![[r#"
        gen_ai.bedrock.guardrail.activation [] 1 address=bedrock-runtime.us-east-1.amazonaws.com guardrail=5zwrmdlsra2e model=amazon.titan-text-express-v1 model=titan-text-express-v1 name=aws.bedrock name=text_completion stream=false
        gen_ai.bedrock.guardrail.coverage [char] 87 address=bedrock-runtime.us-east-1.amazonaws.com guardrail=5zwrmdlsra2e model=amazon.titan-text-express-v1 model=titan-text-express-v1 name=aws.bedrock name=text_completion stream=false type=input
        gen_ai.bedrock.guardrail.coverage [char] 948 address=bedrock-runtime.us-east-1.amazonaws.com guardrail=5zwrmdlsra2e model=amazon.titan-text-express-v1 model=titan-text-express-v1 name=aws.bedrock name=text_completion stream=false type=output
        gen_ai.bedrock.guardrail.latency [ms] 266.000000 address=bedrock-runtime.us-east-1.amazonaws.com guardrail=5zwrmdlsra2e model=amazon.titan-text-express-v1 model=titan-text-express-v1 name=aws.bedrock name=text_completion stream=false type=output
        gen_ai.bedrock.guardrail.latency [ms] 347.000000 address=bedrock-runtime.us-east-1.amazonaws.com guardrail=5zwrmdlsra2e model=amazon.titan-text-express-v1 model=titan-text-express-v1 name=aws.bedrock name=text_completion stream=false type=input
        gen_ai.bedrock.guardrail.sensitive_info [] 1 address=bedrock-runtime.us-east-1.amazonaws.com guardrail=5zwrmdlsra2e model=amazon.titan-text-express-v1 model=titan-text-express-v1 name=aws.bedrock name=text_completion pattern=Account Number stream=false type=output
        gen_ai.client.operation.duration [s] (time) address=bedrock-runtime.us-east-1.amazonaws.com model=amazon.titan-text-express-v1 model=titan-text-express-v1 name=aws.bedrock name=text_completion stream=false
        gen_ai.client.token.usage [token] 197 address=bedrock-runtime.us-east-1.amazonaws.com model=amazon.titan-text-express-v1 model=titan-text-express-v1 name=aws.bedrock name=text_completion stream=false type=output
        gen_ai.client.token.usage [token] 28 address=bedrock-runtime.us-east-1.amazonaws.com model=amazon.titan-text-express-v1 model=titan-text-express-v1 name=aws.bedrock name=text_completion stream=false type=input"#]].assert_eq(&shown);
}

#[tokio::test]
async fn the_cost_is_a_metric_in_every_convention() {
    let shown = measured!(openinference::OpenAIInstrumentor::new().prices(GenaiPrices::bundled()), "openai/chat");
    expect_test::expect![
        "honeyhive.client.operation.cost [USD] 0.000361 model_name=gpt-4o-mini-2024-07-18 provider=openai"
    ]
    .assert_eq(&shown);
}

#[tokio::test]
async fn what_is_masked_on_spans_is_masked_in_metrics() {
    let shown = measured!(traceloop::BedrockInstrumentor::new().mask("server.address"), "bedrock/titan_guardrail");
    assert!(!shown.contains("amazonaws.com") && shown.contains("address=__REDACTED__"), "{shown}");
}

#[tokio::test]
async fn words_that_a_guardrail_found_are_hidden_with_the_side_they_are_of() {
    use honeyhive_instrument::Hide;
    let found = |input: &str, output: &str| {
        let policy =
            |word: &str| json!({ "g": { "wordPolicy": { "customWords": [{ "match": word, "action": "BLOCKED" }] } } });
        json!({ "results": [], "amazon-bedrock-trace": { "guardrail": { "input": policy(input), "outputs": [policy(output)] } } })
    };
    for (hide, shown, hidden) in [
        (Hide::Inputs, "secret-out", "secret-in"),
        (Hide::InputText, "secret-out", "secret-in"),
        (Hide::Outputs, "secret-in", "secret-out"),
    ] {
        let _turn = turn().await;
        let exporter = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        let instrumentor = traceloop::BedrockInstrumentor::new().hide(hide).metrics(&meters);
        instrumentor.instrument(tracer.provider()).unwrap();
        let url = Fixture::of("bedrock/titan_guardrail").url();
        let none = http::HeaderMap::new();
        let head = honeyhive_instrument::provider::RequestHead::new("POST", &url, &none);
        let mut exchange = honeyhive_instrument::Exchange::begin(&head, Some(br#"{"inputText":"x"}"#)).unwrap();
        exchange.head(200, &none);
        exchange.data(found("secret-in", "secret-out").to_string().as_bytes());
        exchange.end();
        instrumentor.uninstrument();
        meters.force_flush().unwrap();
        for told in [show(&exporter.get_finished_metrics().unwrap()), format!("{:?}", recorder.spans())] {
            assert!(told.contains(shown) && !told.contains(hidden), "{hide:?}: {told}");
        }
    }
}
