"""The `tokens` command."""

import typer

from starter.commands import (
    api_keys,
    audit,
    endings,
    imports,
    journeys,
    keys,
    operating,
    queue,
    reconcile,
    signing,
    soft_app,
    stock,
    system,
    workers,
)

app = typer.Typer(
    help="EPCS tokens: request, process, ship, activate, deactivate. Start with `tokens up` or `tokens demo`.\n\n"
    "Exit codes: 0 done, 1 refused (one sentence says why), 2 bad usage.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(system.app)
app.add_typer(journeys.app)
app.add_typer(queue.app)
app.add_typer(operating.app)
app.add_typer(reconcile.app)
app.add_typer(stock.app)
app.add_typer(endings.app)
app.add_typer(signing.app)
app.add_typer(imports.app)
app.add_typer(endings.incident, name="incident")
app.add_typer(soft_app.simulate, name="simulate")
app.add_typer(audit.app, name="audit")
app.add_typer(audit.erasing)
app.add_typer(system.db, name="db")
keys.app.add_typer(api_keys.app)
app.add_typer(keys.app, name="keys")
app.add_typer(system.mail, name="mail")
app.add_typer(workers.app, name="workers")


def main() -> None:
    """The console command's entry point."""
    app()


if __name__ == "__main__":
    main()
