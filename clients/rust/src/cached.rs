use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::Serialize;

use crate::corral::Corral;
use crate::error::Error;
use crate::options::Options;
use crate::template::Template;
use crate::value::Cacheable;

/// A function that answers from the cache, made by [`Corral::cached`].
pub struct Cached<A, B> {
    corral: Corral,
    template: Template,
    options: Options,
    function: B,
    arguments: PhantomData<fn(A)>,
}

impl<A, B> fmt::Debug for Cached<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("template", &self.template)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<A: Serialize + DeserializeOwned, B> Cached<A, B> {
    pub(crate) fn new(corral: Corral, template: &str, options: Options, function: B) -> Result<Self, Error> {
        Ok(Cached { corral, template: Template::new::<A>(template)?, options, function, arguments: PhantomData })
    }

    pub fn key(&self, arguments: &A) -> Result<String, Error> {
        self.template.key(arguments)
    }

    pub async fn invalidate(&self, arguments: &A) -> Result<(), Error> {
        self.corral.invalidate([self.key(arguments)?]).await
    }
}

impl<A, B, F, T, E> Cached<A, B>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    B: Fn(A) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Cacheable,
    E: fmt::Display + Send + 'static,
{
    pub async fn call(&self, arguments: A) -> Result<T, Error<E>> {
        let (key, build) = self.build_of(arguments)?;
        self.corral.get_or_build_with(key, &self.options, build).await
    }

    /// Builds although the value is fresh. Everybody else is served what is there meanwhile.
    pub async fn refresh(&self, arguments: A) -> Result<T, Error<E>> {
        let (key, build) = self.build_of(arguments)?;
        self.corral.refresh(key, &self.options, build).await
    }

    fn build_of(&self, arguments: A) -> Result<(String, impl FnOnce() -> F + Send + 'static), Error<E>> {
        let key = self.key(&arguments).map_err(Error::of_a_build)?;
        let function = self.function.clone();
        Ok((key, move || function(arguments)))
    }
}
