//! The cases of the W3C's own test suite (w3c/trace-context, `test/test.py`) by their names, then B3.

use ieum_base::Rng;
use ieum_base::trace::Tracer;

use super::*;

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "00-12345678901234567890123456789012-1234567890123456-00";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

/// What a message with these headers passes on: the trace if it goes on, and `tracestate`.
fn passed_on(pairs: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let came = headers(pairs);
    let tracer = Tracer::off("test");
    let span = below(tracer.span("test"), &came).start();
    let mut goes = HeaderMap::new();
    inject(&mut goes, span.context());
    let text = |name| Some(goes.get(name)?.to_str().expect("ASCII").to_owned());
    let parent = text(TRACEPARENT).expect("there is always a parent");
    let trace = &parent[3..35];
    assert_ne!(trace, "00000000000000000000000000000000");
    assert!(!parent.contains("1234567890123456-"), "a span of our own");
    let is_known = pairs.iter().any(|(_, value)| value.contains(trace));
    (is_known.then(|| trace.to_owned()), text(TRACESTATE))
}

#[test]
fn traceparents_of_the_suite_continue_the_trace_or_begin_one() {
    let long = "-what-the-future-will-be-like";
    let valid = "12345678901234567890123456789012-1234567890123456-01";
    let cases: &[(&str, &[&str], bool)] = &[
        ("both_traceparent_and_tracestate_missing", &[], false),
        ("traceparent_included_tracestate_missing", &[PARENT], true),
        ("traceparent_duplicated", &[PARENT, PARENT], false),
        ("version_0x00", &[&format!("00-{valid}.")], false),
        ("version_0x00", &[&format!("00-{valid}{long}")], false),
        ("version_0xcc", &[&format!("cc-{valid}")], true),
        ("version_0xcc", &[&format!("cc-{valid}{long}")], true),
        ("version_0xcc", &[&format!("cc-{valid}.{long}")], false),
        ("version_0xff", &[&format!("ff-{valid}")], false),
        (
            "version_illegal_characters",
            &[&format!(".0-{valid}")],
            false,
        ),
        (
            "version_illegal_characters",
            &[&format!("0.-{valid}")],
            false,
        ),
        ("version_upper_case", &[&format!("CC-{valid}")], false),
        ("version_too_long", &[&format!("000-{valid}")], false),
        ("version_too_long", &[&format!("0000-{valid}")], false),
        ("version_too_short", &[&format!("0-{valid}")], false),
        (
            "trace_id_all_zero",
            &["00-00000000000000000000000000000000-1234567890123456-01"],
            false,
        ),
        (
            "trace_id_illegal_characters",
            &["00-.2345678901234567890123456789012-1234567890123456-01"],
            false,
        ),
        (
            "trace_id_illegal_characters",
            &["00-1234567890123456789012345678901.-1234567890123456-01"],
            false,
        ),
        (
            "trace_id_upper_case",
            &["00-ABCDEF78901234567890123456789012-1234567890123456-01"],
            false,
        ),
        (
            "trace_id_too_long",
            &["00-123456789012345678901234567890123-1234567890123456-01"],
            false,
        ),
        (
            "trace_id_too_short",
            &["00-1234567890123456789012345678901-1234567890123456-01"],
            false,
        ),
        (
            "parent_id_all_zero",
            &["00-12345678901234567890123456789012-0000000000000000-01"],
            false,
        ),
        (
            "parent_id_illegal_characters",
            &["00-12345678901234567890123456789012-.234567890123456-01"],
            false,
        ),
        (
            "parent_id_illegal_characters",
            &["00-12345678901234567890123456789012-123456789012345.-01"],
            false,
        ),
        (
            "parent_id_too_long",
            &["00-12345678901234567890123456789012-12345678901234567-01"],
            false,
        ),
        (
            "parent_id_too_short",
            &["00-12345678901234567890123456789012-123456789012345-01"],
            false,
        ),
        (
            "trace_flags_illegal_characters",
            &["00-12345678901234567890123456789012-1234567890123456-.0"],
            false,
        ),
        (
            "trace_flags_illegal_characters",
            &["00-12345678901234567890123456789012-1234567890123456-0."],
            false,
        ),
        (
            "trace_flags_too_long",
            &["00-12345678901234567890123456789012-1234567890123456-001"],
            false,
        ),
        (
            "trace_flags_too_short",
            &["00-12345678901234567890123456789012-1234567890123456-1"],
            false,
        ),
        ("ows_handling", &[&format!("\t 00-{valid} \t")], true),
    ];
    for (name, parents, continues) in cases {
        let mut pairs: Vec<_> = parents
            .iter()
            .map(|parent| ("traceparent", *parent))
            .collect();
        pairs.push(("tracestate", "foo=1"));
        let (trace, state) = passed_on(&pairs);
        assert_eq!(trace.is_some(), *continues, "{name}: {parents:?}");
        assert_eq!(state.is_some(), *continues, "{name}: {parents:?}");
    }
    for wrong_name in ["trace-parent", "trace.parent"] {
        assert_eq!(passed_on(&[(wrong_name, PARENT)]).0, None, "header_name");
    }
    for casing in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        let (trace, _) = passed_on(&[(casing, PARENT)]);
        assert_eq!(trace.as_deref(), Some(TRACE), "header_name_valid_casing");
    }
}

#[test]
fn tracestates_of_the_suite_are_inherited_or_dropped() {
    let all = (1..=32).map(|n| format!("bar{n:02}={n:02}"));
    let all = all.collect::<Vec<_>>().join(",");
    let too_many = format!("{all},bar33=33");
    let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let value: String = (' '..='~').filter(|c| !",=".contains(*c)).collect();
    let every = format!("{key}={value}");
    let every_with_vendor = format!("{key}@a-z0-9_-*/={value}");
    let z = |n| format!("{}=1", "z".repeat(n));
    let tenant = |t, v| format!("{}@{}=1", "t".repeat(t), "v".repeat(v));
    let foo_and = |more: &str| Some(format!("foo=1,{more}"));
    let kept = |text: &str| Some(text.to_owned());
    let (z256, z257) = (z(256), z(257));
    let (fits, tenant_long, vendor_long) = (tenant(241, 14), tenant(242, 1), tenant(1, 15));
    let cases: &[(&str, &[&str], Option<String>)] = &[
        (
            "included_traceparent_included",
            &["foo=1,bar=2"],
            kept("foo=1,bar=2"),
        ),
        ("empty_header", &[""], None),
        ("empty_header", &["foo=1", ""], kept("foo=1")),
        ("empty_header", &["", "foo=1"], kept("foo=1")),
        (
            "multiple_headers_different_keys",
            &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
            kept("foo=1,bar=2,rojo=1,congo=2,baz=3"),
        ),
        ("duplicated_keys", &["foo=1,foo=1"], None),
        ("duplicated_keys", &["foo=1,foo=2"], None),
        ("duplicated_keys", &["foo=1", "foo=1"], None),
        ("duplicated_keys", &["foo=1", "foo=2"], None),
        ("all_allowed_characters", &[&every], kept(&every)),
        (
            "all_allowed_characters",
            &[&every_with_vendor],
            kept(&every_with_vendor),
        ),
        (
            "ows_handling",
            &["foo=1 \t , \t bar=2, \t baz=3"],
            kept("foo=1,bar=2,baz=3"),
        ),
        (
            "ows_handling",
            &["foo=1\t \t,\t \tbar=2,\t \tbaz=3"],
            kept("foo=1,bar=2,baz=3"),
        ),
        ("ows_handling", &["\t foo=1 \t"], kept("foo=1")),
        ("key_illegal_characters", &["foo =1"], None),
        ("key_illegal_characters", &["FOO=1"], None),
        ("key_illegal_characters", &["foo.bar=1"], None),
        ("key_illegal_vendor_format", &["foo@=1,bar=2"], None),
        ("key_illegal_vendor_format", &["@foo=1,bar=2"], None),
        ("key_illegal_vendor_format", &["foo@@bar=1,bar=2"], None),
        ("key_illegal_vendor_format", &["foo@bar@baz=1,bar=2"], None),
        ("member_count_limit", &[&all], kept(&all)),
        ("member_count_limit", &[&too_many], None),
        ("key_length_limit", &["foo=1", &z256], foo_and(&z256)),
        ("key_length_limit", &["foo=1", &z257], None),
        ("key_length_limit", &["foo=1", &fits], foo_and(&fits)),
        ("key_length_limit", &["foo=1", &tenant_long], None),
        ("key_length_limit", &["foo=1", &vendor_long], None),
        ("value_illegal_characters", &["foo=bar=baz"], None),
        ("value_illegal_characters", &["foo=,bar=3"], None),
    ];
    for (name, states, expected) in cases {
        let mut pairs = vec![("traceparent", PARENT)];
        pairs.extend(states.iter().map(|state| ("tracestate", *state)));
        let (trace, state) = passed_on(&pairs);
        assert_eq!(trace.as_deref(), Some(TRACE), "{name}: {states:?}");
        assert_eq!(state, *expected, "{name}: {states:?}");
    }
    let included_traceparent_missing = passed_on(&[("tracestate", "foo=1")]);
    assert_eq!(included_traceparent_missing, (None, None));
    for wrong_name in ["trace-state", "trace.state"] {
        let (_, state) = passed_on(&[("traceparent", PARENT), (wrong_name, "foo=1")]);
        assert_eq!(state, None, "header_name");
    }
}

#[test]
fn an_overlong_state_loses_whole_entries() {
    let (short, long) = (
        format!("s={}", "v".repeat(100)),
        format!("l={}", "v".repeat(250)),
    );
    let pairs = [
        ("traceparent", PARENT),
        ("tracestate", &*long),
        (
            "tracestate",
            &*format!("{short},{},last=1", long.replace('l', "m")),
        ),
    ];
    let expected = format!("{long},{short},last=1");
    assert_eq!(passed_on(&pairs).1, Some(expected));
}

/// The ids of a trace and a span, and whether the trace is recorded.
type Continued = Option<(String, String, bool)>;

/// How a message with B3 goes on.
fn b3(pairs: &[(&str, &str)]) -> Continued {
    let context = extract(&headers(pairs))?;
    Some((
        context.trace_id.to_string(),
        context.span_id.to_string(),
        context.sampled,
    ))
}

#[test]
fn b3_is_read_in_both_forms() {
    let (wide, span) = ("80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1");
    let narrow = "64fe8b2a57d3eff7";
    let padded = "000000000000000064fe8b2a57d3eff7";
    let is = |trace: &str, sampled| Some((trace.to_owned(), span.to_owned(), sampled));
    let single: &[(String, Continued)] = &[
        (format!("{wide}-{span}-1-05e3ac9a4f6e3b90"), is(wide, true)),
        (format!("{wide}-{span}-0"), is(wide, false)),
        (format!("{wide}-{span}-d"), is(wide, true)),
        (format!("{wide}-{span}"), is(wide, true)),
        (format!("{narrow}-{span}-1"), is(padded, true)),
        ("0".into(), None),
        ("1".into(), None),
        (format!("{wide}-{span}-2"), None),
        (format!("{wide}-{span}-1-short"), None),
        (format!("{wide}-{span}-1-05e3ac9a4f6e3b90-more"), None),
        (format!("{}-{span}-1", wide.to_uppercase()), None),
        (format!("00000000000000000000000000000000-{span}-1"), None),
        (format!("{wide}-0000000000000000-1"), None),
        (String::new(), None),
    ];
    for (text, expected) in single {
        assert_eq!(b3(&[("b3", text)]), *expected, "{text}");
    }
    let ids = [("X-B3-TraceId", wide), ("X-B3-SpanId", span)];
    for (more, sampled) in [
        (("X-B3-Sampled", "1"), true),
        (("X-B3-Sampled", "0"), false),
        (("X-B3-Sampled", "true"), true),
        (("X-B3-Flags", "1"), true),
        (("X-B3-ParentSpanId", "05e3ac9a4f6e3b90"), true),
    ] {
        assert_eq!(b3(&[ids[0], ids[1], more]), is(wide, sampled), "{more:?}");
    }
    assert_eq!(b3(&[ids[0]]), None);
    assert_eq!(b3(&[ids[0], ids[0], ids[1]]), None);
}

#[test]
fn w3c_counts_before_b3_even_if_it_is_broken() {
    let b3_single = ("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1");
    let trace = b3(&[b3_single, ("traceparent", PARENT)]).map(|context| context.0);
    assert_eq!(trace.as_deref(), Some(TRACE));
    assert_eq!(b3(&[b3_single, ("traceparent", "00-broken")]), None);
}

#[test]
fn a_trace_that_b3_denies_is_not_recorded() {
    let sink: std::sync::Arc<dyn ieum_base::trace::SpanSink> = std::sync::Arc::new(Nowhere);
    let tracer = Tracer::new("test", sink, Clock::system());
    let recorded = |pairs: &[(&str, &str)]| {
        let span = below(tracer.span("test"), &headers(pairs)).start();
        span.is_recorded()
    };
    assert!(!recorded(&[("b3", "0")]));
    assert!(!recorded(&[("X-B3-Sampled", "0")]));
    assert!(recorded(&[("b3", "1")]));
    assert!(recorded(&[]));
}

struct Nowhere;

impl ieum_base::trace::SpanSink for Nowhere {
    fn record(&self, _: ieum_base::trace::SpanData) {}
}

#[test]
fn the_formats_that_are_asked_for_are_written() {
    let context = TraceContext::root(&Rng::seeded(1), true);
    let written = |formats: &str| {
        let formats: Propagators = formats.parse().expect("known formats");
        let mut goes = headers(&[("traceparent", PARENT)]);
        inject_as(&mut goes, &context, formats);
        let mut names: Vec<_> = goes.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        let again = extract(&goes).map(|context| (context.trace_id, context.span_id));
        let expected = (!names.is_empty()).then_some((context.trace_id, context.span_id));
        assert_eq!(again, expected, "{names:?}");
        names.join(" ")
    };
    assert_eq!(written("tracecontext,baggage"), "traceparent");
    assert_eq!(written("tracecontext, b3"), "b3 traceparent");
    assert_eq!(written("b3multi"), "x-b3-sampled x-b3-spanid x-b3-traceid");
    assert_eq!(written("none"), "");
    assert!("jaeger".parse::<Propagators>().is_err());
}

#[test]
fn a_harmless_request_id_is_kept_and_any_other_replaced() {
    let clock = Clock::system();
    let kept = |id: &str| request_id(&headers(&[("x-request-id", id)]), &clock) == id;
    assert!(kept("ticket-17/a"));
    assert!(!kept("a b"));
    assert!(!kept("<script>"));
    assert!(!kept("user:hunter2@host"));
    assert!(!kept("4242424242424242"));
    assert!(!kept(&"x".repeat(129)));
    assert!(!kept(""));
    assert_eq!(request_id(&HeaderMap::new(), &clock).len(), 36);
}
