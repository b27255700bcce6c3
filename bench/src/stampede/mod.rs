use crate::{
    findings::Findings,
    options::{Options, Scale},
};
pub(crate) async fn measure(_: &Options, _: &Scale, _: &mut Findings) -> anyhow::Result<()> {
    Ok(())
}
