//! A status of gRPC as problem details.

use ieum_grpc::{Code as GrpcCode, Descriptors, Status};
use ieum_http::Problem;
use serde_json::Value;

use crate::errors::Code;

/// The problem that a status is; its HTTP status is the one that google/rpc/code.proto gives it.
pub(crate) fn of_status(status: &Status, descriptors: &Descriptors) -> Problem {
    let mut problem = Problem::new(status.code.http_status()).code(Code::GrpcStatus.row().code);
    if status.code == GrpcCode::Cancelled {
        // 499 is in no registry.
        problem = problem.title("Client Closed Request");
    }
    if !status.message.is_empty() {
        problem = problem.detail(status.message.clone());
    }
    problem.retry_after = status.retry_after();
    let details = status.details(descriptors);
    if !details.is_empty() {
        problem = problem.with("details", Value::Array(details));
    }
    problem.with("grpcStatus", status.code.name())
}
