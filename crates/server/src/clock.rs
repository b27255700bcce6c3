//! The server's clocks, and its random source.

/// Microseconds since the epoch.
pub fn now_us() -> u64 {
    let us = if has!(RedisModule_Microseconds) {
        call!(RedisModule_Microseconds())
    } else {
        call!(RedisModule_Milliseconds()).saturating_mul(1000)
    };
    u64::try_from(us).unwrap_or(0)
}

/// When the running command began, in microseconds since the epoch. The server has read the clock for that already,
/// where it says so (7.2), and in a script or transaction it is the one moment that all of its commands see.
#[inline]
pub fn command_us() -> u64 {
    if !has!(RedisModule_CachedMicroseconds) {
        return now_us();
    }
    u64::try_from(call!(RedisModule_CachedMicroseconds())).unwrap_or(0)
}

/// Milliseconds since the epoch.
pub fn now_ms() -> u64 {
    u64::try_from(call!(RedisModule_Milliseconds())).unwrap_or(0)
}

/// Microseconds of a clock that is never set, for differences.
pub fn monotonic_us() -> u64 {
    call!(RedisModule_MonotonicMicroseconds())
}

/// A draw from 0..1, 53 bits.
pub fn random() -> f64 {
    let mut bytes = [0u8; 8];
    call!(RedisModule_GetRandomBytes(bytes.as_mut_ptr(), bytes.len()));
    (u64::from_ne_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}
