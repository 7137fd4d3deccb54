use super::case::{Case, Expected};
use super::site::Setting::{Empty, Healthy, Pending, Token};

const JSON: &str = "application/json";

/// The `Accept` header of Prometheus 2.42.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
    text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Returns all cases of the suite.
pub fn cases() -> Vec<Case> {
    let mut cases = paths();
    cases.extend(methods());
    cases.extend(formats());
    cases.extend(negotiation());
    cases.extend(tokens());
    cases.extend(mounting());
    cases.extend(policies());
    cases.extend(pending());
    cases
}

fn paths() -> Vec<Case> {
    let case = |name, target| Case::new(name, target).accept(JSON);
    vec![
        Case::new("get", "/ht/"),
        Case::new("get_healthy", "/ht/").of(Healthy),
        Case::new("get_empty", "/ht/").of(Empty),
        Case::new("get_accept_json", "/ht/").accept(JSON),
        case("empty_json", "/ht/").of(Empty),
        case("without_slash", "/ht"),
        case("without_slash_with_query", "/ht?a=b"),
        case("group", "/ht/ready/"),
        case("group_without_slash", "/ht/ready"),
        case("group_live", "/ht/live/"),
        case("group_startup", "/ht/startup/"),
        case("group_of_our_own", "/ht/batch/"),
        case("group_percent_encoded", "/ht/b%61tch/"),
        case("group_unknown", "/ht/nowhere/"),
        case(
            "group_unknown_percent_encoded",
            "/ht/n%C3%B6where%20%22x%22/",
        ),
        case("group_invalid_utf8", "/ht/%ff/"),
        case("group_encoded_twice", "/ht/b%2561tch/"),
        case("group_with_encoded_slash", "/ht/batch%2F/"),
        case("two_slashes", "/ht//"),
        case("group_two_slashes", "/ht/batch//"),
        case("two_segments", "/ht/live/ready/"),
        case("dot_segment", "/ht/./"),
    ]
}

fn methods() -> Vec<Case> {
    let case = |name, method| Case::new(name, "/ht/?format=json").method(method);
    vec![
        case("head", "HEAD"),
        case("head_healthy", "HEAD").of(Healthy),
        Case::new("head_page", "/ht/").method("HEAD"),
        Case::new("head_without_slash", "/ht").method("HEAD"),
        Case::new("head_unknown_group", "/ht/nowhere/").method("HEAD"),
        Case::new("head_not_acceptable", "/ht/")
            .method("HEAD")
            .accept("image/png"),
        case("options", "OPTIONS"),
        case("options_healthy", "OPTIONS").of(Healthy),
        Case::new("options_group", "/ht/batch").method("OPTIONS"),
        case("post", "POST"),
        case("put", "PUT"),
        case("patch", "PATCH"),
        case("delete", "DELETE"),
        case("trace", "TRACE"),
        case("propfind", "PROPFIND").over_a_socket(),
        Case::new("propfind_group", "/ht/batch/")
            .method("PROPFIND")
            .over_a_socket(),
        Case::new("post_without_slash", "/ht").method("POST"),
        Case::new("post_unknown_group", "/ht/nowhere/").method("POST"),
        case("post_with_body", "POST").body(2_000),
        case("put_with_body", "PUT").body(2_000),
    ]
}

fn formats() -> Vec<Case> {
    vec![
        Case::new("format_json", "/ht/?format=json"),
        Case::new("format_text", "/ht/?format=text"),
        Case::new("format_html", "/ht/?format=html"),
        Case::new("format_over_accept", "/ht/?format=text").accept(JSON),
        Case::new("format_over_accept_of_nothing", "/ht/?format=text").accept("image/png"),
        Case::new("format_unknown", "/ht/?format=yaml"),
        Case::new("format_empty", "/ht/?format="),
        Case::new("format_without_value", "/ht/?format"),
        Case::new("format_twice", "/ht/?format=text&format=json"),
        Case::new("format_percent_encoded", "/ht/?form%61t=js%6Fn"),
        Case::new("format_invalid_utf8", "/ht/?format=%ff"),
        Case::new("format_after_garbage", "/ht/?&&=%&?/%%zz&format=json"),
        Case::new("query_plus", "/ht/?a+b=c+d&format=text"),
        Case::new(
            "query_long",
            format!("/ht/?{}format=json", "a=b&".repeat(2_000)),
        ),
        Case::new("format_of_group", "/ht/batch?format=text"),
        Case::new("format_health", "/ht/?format=health"),
        Case::new("format_openmetrics", "/ht/?format=openmetrics"),
        Case::new("format_openmetrics_head", "/ht/?format=openmetrics").method("HEAD"),
        Case::new("format_openmetrics_options", "/ht/?format=openmetrics").method("OPTIONS"),
        Case::new("format_openmetrics_post", "/ht/?format=openmetrics").method("POST"),
        Case::new("format_prometheus", "/ht/?format=prometheus"),
        Case::new("format_atom", "/ht/?format=atom"),
        Case::new("format_atom_empty", "/ht/?format=atom").of(Empty),
        Case::new("format_rss", "/ht/?format=rss"),
        Case::new("verbose", "/ht/?format=text&verbose"),
        Case::new("verbose_healthy", "/ht/?format=text&verbose").of(Healthy),
        Case::new("verbose_empty", "/ht/?format=text&verbose").of(Empty),
        Case::new("verbose_group", "/ht/batch?verbose=1&format=text"),
        Case::new("refresh", "/ht/?format=html&refresh=5"),
        Case::new("refresh_head", "/ht/?format=json&refresh=5").method("HEAD"),
        Case::new("refresh_invalid", "/ht/?format=json&refresh=0"),
        Case::new("format_report", "/ht/?format=report"),
        Case::new("only", "/ht/?format=json&only=queue&only=disk"),
        Case::new("only_unknown", "/ht/?only=queue&only=nobody"),
        Case::new("only_empty", "/ht/ready/?only="),
        Case::new("only_startup", "/ht/startup/?format=json&only=nobody"),
        Case::new(
            "exclude",
            "/ht/?format=json&exclude=queue&exclude=disk&exclude=nobody",
        ),
        Case::new(
            "exclude_percent_encoded",
            "/ht/?format=text&verbose&exclude=gr%C3%B6%C3%9Fe&exclude=%22x%0A",
        ),
    ]
}

fn negotiation() -> Vec<Case> {
    let case = |name, accept| Case::new(name, "/ht/").accept(accept);
    vec![
        case("accept_text", "text/plain"),
        case("accept_any", "*/*"),
        case("accept_any_application", "application/*"),
        case("accept_q", "text/html;q=0.4, Application/JSON;q=0.5"),
        case("accept_q_zero", "text/html;q=0, */*"),
        case("accept_nothing_of_ours", "image/png"),
        case("accept_not_even_html", "*/*;q=0"),
        case("accept_empty", ""),
        case("accept_garbage", "garbage"),
        case("accept_garbage_and_json", ",;garbage/, application/json"),
        case(
            "accept_quoted_comma",
            "text/plain;a=\"x,y;q=0\\\",z\";q=0.5, application/json;q=0.1",
        ),
        case(
            "accept_unclosed_quote",
            "application/json;a=\"x, text/plain",
        ),
        case("accept_tabs", "application/json\t;\tq=1"),
        case(
            "accept_q_out_of_range",
            "application/json;q=2, text/plain;q=0.1",
        ),
        Case::new("accept_invalid_utf8", "/ht/").header("accept", b"\xff\xfe"),
        case("accept_twice", "text/html;q=0.1").accept(JSON),
        case("accept_three_times", "image/png")
            .accept("text/plain;q=0.2")
            .accept("application/json;q=0.1"),
        case(
            "accept_health",
            "application/health+json, application/json;q=0.9",
        ),
        case("accept_prometheus", PROMETHEUS),
        case(
            "accept_prometheus_text",
            "text/plain;version=0.0.4;q=0.5, */*;q=0.1",
        ),
        case(
            "accept_feed",
            "application/rss+xml, application/atom+xml;q=0.9",
        ),
        case("scrape_timeout", JSON).header("x-prometheus-scrape-timeout-seconds", b"10"),
        case("other_headers", JSON)
            .header("cookie", b"a=b; c=d")
            .header("x-forwarded-for", b"1.2.3.4"),
    ]
}

fn tokens() -> Vec<Case> {
    let case = |name, target| Case::new(name, target).of(Token).accept(JSON);
    let bearer = |name, value| case(name, "/ht/").header("authorization", value);
    vec![
        case("token_missing", "/ht/"),
        case("token_missing_anonymous", "/ht/batch/"),
        Case::new("token_missing_anonymous_page", "/ht/batch/").of(Token),
        Case::new(
            "token_missing_anonymous_metrics",
            "/ht/batch/?format=openmetrics",
        )
        .of(Token),
        Case::new("token_missing_anonymous_feed", "/ht/batch/?format=atom").of(Token),
        Case::new(
            "token_missing_anonymous_exclude",
            "/ht/batch/?format=text&verbose&exclude=nightly",
        )
        .of(Token),
        Case::new("token_missing_metrics", "/ht/?format=openmetrics").of(Token),
        Case::new("token_in_path_feed", "/ht/s3cret/?format=rss").of(Token),
        case("token_in_path", "/ht/s3cret/"),
        case("token_in_path_without_slash", "/ht/s3cret"),
        case("token_in_path_percent_encoded", "/ht/s3%63ret/"),
        case("token_in_path_with_group", "/ht/s3cret/batch/"),
        case("token_wrong_in_path", "/ht/wrong/batch/"),
        case("token_in_header", "/ht/ready/").header("authorization", b"Bearer s3cret"),
        bearer("token_in_header_lower_case", b"bearer s3cret"),
        bearer("token_wrong_in_header", b"Bearer wrong"),
        bearer("token_of_another_scheme", b"Basic czNjcmV0"),
        case("token_head", "/ht/s3cret/").method("HEAD"),
        case("token_missing_post", "/ht/").method("POST"),
    ]
}

fn mounting() -> Vec<Case> {
    let case = |name, target| Case::new(name, target).accept(JSON);
    let prefix = Expected::First {
        path: "/status/health/",
        below: "",
    };
    let nested = Expected::First {
        path: "/ht/",
        below: "/internal",
    };
    vec![
        case("own_page", "/").expect(Expected::Own(200, "shop")),
        case("own_route", "/orders/7").expect(Expected::Own(200, "order 7")),
        case("own_not_found", "/nowhere").expect(Expected::NotFound),
        case("beside_the_path", "/htx").expect(Expected::NotFound),
        case("beside_the_path_with_slash", "/htx/").expect(Expected::NotFound),
        case("beside_the_path_percent_encoded", "/h%74/").expect(Expected::NotFound),
        case("beside_the_path_empty_segment", "//ht/").expect(Expected::NotFound),
        case("prefix", "/status/health/").expect(prefix),
        case("prefix_without_slash", "/status/health").expect(prefix),
        case("prefix_group", "/status/health/batch?format=text").expect(prefix),
        case("prefix_post", "/status/health/")
            .method("POST")
            .expect(prefix),
        case("nested", "/internal/ht/").expect(nested),
        case("nested_without_slash", "/internal/ht").expect(nested),
        case("nested_group", "/internal/ht/b%61tch/?format=text").expect(nested),
        case("nested_unknown_group", "/internal/ht/a%2Fb/").expect(nested),
        case("nested_head", "/internal/ht/")
            .method("HEAD")
            .expect(nested),
        case("second", "/other/").expect(Expected::Second),
        case("second_group", "/other/billing").expect(Expected::Second),
        case("second_knows_no_group_of_the_first", "/other/batch/").expect(Expected::Second),
    ]
}

fn policies() -> Vec<Case> {
    let public = |name, target| Case::new(name, target).expect(Expected::Public);
    let probe = |name, target| Case::new(name, target).expect(Expected::Probes);
    vec![
        Case::new("own_health", "/checks").expect(Expected::Own(200, "5 checks")),
        public("public", "/public/"),
        public("public_again", "/public/"),
        public("public_healthy", "/public").of(Healthy),
        public("public_without_the_token", "/public/").of(Token),
        public("public_head", "/public/").method("HEAD"),
        public("public_post", "/public/").method("POST"),
        public("public_group", "/public/batch/"),
        public("public_metrics", "/public/?format=openmetrics"),
        public("public_not_acceptable", "/public/").accept("text/html"),
        probe("livez", "/livez").accept(JSON),
        probe("livez_with_slash", "/livez/").accept(JSON),
        probe("livez_without_the_token", "/livez")
            .of(Token)
            .accept(JSON),
        probe("livez_below", "/livez/ready/"),
        probe("livez_delete", "/livez").method("DELETE"),
        probe("readyz", "/readyz").accept(JSON),
        probe("readyz_head", "/readyz").method("HEAD"),
        probe("readyz_without_the_token", "/readyz")
            .of(Token)
            .accept(JSON),
        probe("readyz_with_the_token", "/readyz")
            .of(Token)
            .accept(JSON)
            .header("authorization", b"Bearer s3cret"),
        probe("readyz_pending", "/readyz").of(Pending).accept(JSON),
        Case::new("beside_the_probes", "/livezz").expect(Expected::NotFound),
    ]
}

fn pending() -> Vec<Case> {
    let case = |name, target| Case::new(name, target).of(Pending);
    vec![
        case("pending_json", "/ht/?format=json"),
        case("pending_page", "/ht/"),
        case("pending_health", "/ht/?format=health"),
        case("pending_report", "/ht/?format=report"),
        case("pending_metrics", "/ht/?format=openmetrics"),
        case("pending_head", "/ht/?format=json").method("HEAD"),
        case("stale_alone", "/ht/?format=report&only=old"),
    ]
}
