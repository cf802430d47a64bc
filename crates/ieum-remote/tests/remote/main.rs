//! The adapters against a small platform in this process, over real HTTP.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod several;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod suites;
