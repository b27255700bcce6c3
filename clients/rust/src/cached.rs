use std::borrow::Cow;
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
    /// In place of the options' own, if they name what is in the arguments.
    tags: Option<Vec<Template>>,
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
        let template = Template::new::<A>(template)?;
        options.check()?;
        let tags = template.tags::<A>(options.tags.as_deref().unwrap_or_default())?;
        Ok(Cached { corral, template, options, tags, function, arguments: PhantomData })
    }

    pub fn key(&self, arguments: &A) -> Result<String, Error> {
        self.template.key(arguments)
    }

    pub async fn invalidate(&self, arguments: &A) -> Result<(), Error> {
        self.corral.invalidate([self.key(arguments)?]).await
    }

    fn options_of(&self, arguments: &A) -> Result<Cow<'_, Options>, Error> {
        Ok(match &self.tags {
            None => Cow::Borrowed(&self.options),
            Some(tags) => Cow::Owned(self.options.clone().tags(Template::texts(tags, arguments)?)),
        })
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
        let options = self.options_of(&arguments).map_err(Error::of_a_build)?;
        let (key, build) = self.build_of(arguments)?;
        self.corral.get_or_build_with(key, &options, build).await
    }

    /// Builds although the value is fresh. Everybody else is served what is there meanwhile.
    pub async fn refresh(&self, arguments: A) -> Result<T, Error<E>> {
        let options = self.options_of(&arguments).map_err(Error::of_a_build)?;
        let (key, build) = self.build_of(arguments)?;
        self.corral.refresh(key, &options, build).await
    }

    fn build_of(&self, arguments: A) -> Result<(String, impl FnOnce() -> F + Send + 'static), Error<E>> {
        let key = self.key(&arguments).map_err(Error::of_a_build)?;
        let function = self.function.clone();
        Ok((key, move || function(arguments)))
    }
}
