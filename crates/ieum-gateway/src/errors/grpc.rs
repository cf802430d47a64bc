//! A refusal as who calls by gRPC reads it: a status, a text, and our code beside them.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use ieum_grpc::message::{self, GRPC_MESSAGE};
use ieum_grpc::{Code as GrpcCode, GRPC_STATUS};

use super::Refusal;

impl Refusal {
    /// With a status other than the one that belongs to its code.
    pub(crate) fn status(mut self: Box<Self>, code: GrpcCode) -> Box<Self> {
        self.grpc = Some(code);
        self
    }

    /// The status that it is.
    pub(crate) fn grpc_code(&self) -> GrpcCode {
        let usual = || GrpcCode::of_refusal(self.code.row().status);
        self.grpc.unwrap_or_else(usual)
    }

    /// The trailers that end an answer with it. Our code stands in the text too, because most clients
    /// show nothing else.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let code = self.code.row().code;
        let mut fields = HeaderMap::with_capacity(8);
        fields.insert(GRPC_STATUS, self.grpc_code().field());
        let text = format!("{} ({code})", self.detail);
        fields.insert(GRPC_MESSAGE, message::encode(&text));
        fields.insert(IEUM_CODE, HeaderValue::from_static(code));
        if let Some(seconds) = self.retry_after {
            fields.insert(RETRY_AFTER, seconds.into());
            fields.insert(PUSHBACK, seconds.saturating_mul(1_000).into());
        }
        fields
    }

    /// The answer: a head that is trailers too, and no body.
    pub(crate) fn into_grpc_response<B: From<Bytes>>(self) -> Response<B> {
        let mut response = Response::new(B::from(Bytes::new()));
        let mut fields = self.trailers();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        for (name, value) in self.headers {
            fields.append(name, value);
        }
        *response.headers_mut() = fields;
        response
    }
}

const IEUM_CODE: HeaderName = HeaderName::from_static("ieum-code");
/// How long a client is to wait before another try, in milliseconds (gRFC A6).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::errors::Code;

    fn fields(code: Code) -> HeaderMap {
        let refusal = Refusal::new(code, "100 % of 신발");
        let refusal = refusal.retry_after(Duration::from_millis(1_500));
        let response: Response<Bytes> = refusal.into_grpc_response();
        assert_eq!(response.status(), 200);
        assert!(response.body().is_empty());
        response.into_parts().0.headers
    }

    #[test]
    fn a_refusal_is_a_status_with_our_code_in_its_text_and_beside_it() {
        let fields = fields(Code::RateLimited);
        assert_eq!(
            GrpcCode::of_fields(&fields),
            Some(GrpcCode::ResourceExhausted)
        );
        assert_eq!(
            message::decode(&fields[GRPC_MESSAGE]),
            "100 % of 신발 (IEUM-1030)"
        );
        assert_eq!(fields["ieum-code"], "IEUM-1030");
        assert_eq!(fields["retry-after"], "2");
        assert_eq!(fields["grpc-retry-pushback-ms"], "2000");
        assert_eq!(fields["content-type"], "application/grpc");
    }

    #[test]
    fn each_of_our_codes_is_a_status_that_means_the_same() {
        let check = |code: Code, meant: GrpcCode| {
            assert_eq!(GrpcCode::of_fields(&fields(code)), Some(meant), "{code:?}");
        };
        check(Code::NoRoute, GrpcCode::Unimplemented);
        check(Code::TokenMissing, GrpcCode::Unauthenticated);
        check(Code::TokenInvalid, GrpcCode::Unauthenticated);
        check(Code::RoleMissing, GrpcCode::PermissionDenied);
        check(Code::PolicyMissing, GrpcCode::PermissionDenied);
        check(Code::MessageTooLarge, GrpcCode::ResourceExhausted);
        check(Code::NoInstance, GrpcCode::Unavailable);
        check(Code::BreakerOpen, GrpcCode::Unavailable);
        check(Code::BulkheadFull, GrpcCode::Unavailable);
        check(Code::BadGateway, GrpcCode::Unavailable);
        check(Code::Timeout, GrpcCode::DeadlineExceeded);
        check(Code::DeadlinePassed, GrpcCode::DeadlineExceeded);
        check(Code::Internal, GrpcCode::Internal);
        let is_success = |code: Code| GrpcCode::of_fields(&fields(code)) == Some(GrpcCode::Ok);
        assert!(!Code::ALL.into_iter().any(is_success));
    }
}
