"""`tokens workers`: which builds of the workers there are, and which one takes the tasks."""

from typing import Annotated

import typer

from settings import Settings
from starter import deployments, target
from starter.output import Json, Refusal, command, out, show_json, table, when

app = typer.Typer(help="Which builds of the workers there are, and which one takes the tasks.", no_args_is_help=True)


@app.command("list")
@command
async def list_(json: Json = False) -> None:
    """The builds that the deployment knows, the newest first; one that is drained can be switched off."""
    settings = target.settings_in_use()
    async with target.temporal(settings) as client:
        found = await deployments.builds(client, _deployment(settings))
    if json:
        show_json([vars(build) for build in found])
        return
    listed = table("Build", "stands", "seen since", "")
    for build in found:
        share = f"{build.share:g} % of the workflows" if build.share is not None else ""
        listed.add_row(build.build_id, build.stands, when(build.since), share)
    out.print(listed if found else "No worker of this deployment has been seen yet.")


@app.command()
@command
async def promote(
    build: Annotated[str | None, typer.Option(help="Which build. Left out: TOKENS_BUILD_ID, or this release.")] = None,
    share: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Only so many percent of the workflows, to try it. Left out: all."),
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for its workers to be there.")] = 60.0,
) -> None:
    """Hands the tasks over to a build: journeys go on under it from their next step. Also the way back to an older one."""
    settings = target.settings_in_use()
    build_id = build or settings.build_id
    async with target.temporal(settings) as client:
        try:
            await deployments.promote(client, _deployment(settings), build_id, wait, share)
        except deployments.NotPromoted as refusal:
            raise Refusal(str(refusal)) from None
    what = "the tasks" if share is None else f"{share:g} % of the workflows"
    out.print(f"Build [bold]{build_id}[/] takes {what}.")


def _deployment(settings: Settings) -> str:
    if settings.deployment:
        return settings.deployment
    raise Refusal(
        "These workers are not versioned: any of them takes any task, and there is nothing to promote. Set TOKENS_DEPLOYMENT, for"
        " them and for this command, to change that."
    )
