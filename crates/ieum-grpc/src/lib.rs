//! gRPC as the gateway and clients see it: frames, statuses, deadlines, descriptors, transcoding.
