//! How values become bytes and back: JSON by serde; [`Bytes`] are stored as they are.

use serde::de::DeserializeOwned;
use serde::Serialize;

/// What can be kept: whatever serde can write and read, and [`Bytes`].
pub trait Cacheable: Sized + Send + 'static {
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error>;

    fn decode(data: &[u8]) -> Result<Self, serde_json::Error>;
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Cacheable for T {
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    fn decode(data: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(data)
    }
}

/// A value that is stored as it is: a page, or what another serializer made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Cacheable for Bytes {
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        Ok(self.0.clone())
    }

    fn decode(data: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(Bytes(data.to_vec()))
    }
}
