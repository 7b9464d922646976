"""A shipping label to print: 4 by 6 inches, as an HTML page."""

from typing import Any

from jinja2 import Environment

_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Label {{ number }}</title>
<style>
  @page { size: 4in 6in; margin: 0 }
  body { margin: 0; background: #eef1f2; font: 16px/1.35 "Helvetica Neue", Arial, sans-serif; color: #000 }
  main { box-sizing: border-box; width: 4in; height: 6in; margin: 24px auto; padding: .25in; background: #fff; border: 2px solid #000;
    display: flex; flex-direction: column; overflow: hidden; overflow-wrap: anywhere }
  .service { margin: 0 -.25in; padding: .08in .25in; background: #000; color: #fff; font-weight: 700; letter-spacing: .06em;
    -webkit-print-color-adjust: exact; print-color-adjust: exact }
  h1 { margin: 0 0 .12in; font-size: 20px }
  h2 { margin: .18in 0 .04in; font-size: 11px; letter-spacing: .08em; text-transform: uppercase; font-weight: 400 }
  address { font-style: normal }
  .to { font-size: 21px; font-weight: 700 }
  .foot { margin-top: auto; text-align: center }
  .number { font: 700 19px/1.6 ui-monospace, Menlo, Consolas, monospace; letter-spacing: .06em }
  svg { display: block; width: 100%; height: .8in }
  p.hint { max-width: 4in; margin: 0 auto 24px; text-align: center; color: #444; font-size: 14px }
  @media print { body { background: none } main { margin: 0; border: 0 } p.hint { display: none } }
</style>
</head>
<body>
<main>
  <h1>Simulated carrier</h1>
  <div class="service">{{ "PREPAID RETURN" if service == "return" else (service or "ground") | upper }}</div>
  <h2>From</h2>
  <address>{% for line in sender %}{{ line }}{% if not loop.last %}<br>{% endif %}{% endfor %}</address>
  <h2>To</h2>
  <address class="to">{% for line in to %}{{ line }}{% if not loop.last %}<br>{% endif %}{% endfor %}</address>
  <div class="foot">
    <svg viewBox="0 0 {{ width }} 10" preserveAspectRatio="none" aria-hidden="true">
      {% for x, bar in bars %}<rect x="{{ x }}" width="{{ bar }}" height="10"/>{% endfor %}
    </svg>
    <div class="number">{{ number }}</div>
  </div>
</main>
<p class="hint">Print this page, and tape it to the envelope.{% if service == "return" %} Nothing is to be paid.{% endif %}</p>
</body>
</html>
""")


def page(number: str, shipment: dict[str, Any]) -> str:
    """The label of the parcel `number`; `shipment` as it was ordered. The bars are for the eye, no scanner reads them."""
    bars, x = [], 0
    for digit in number.encode():
        for place in range(4):
            bar = 1 + (digit >> (2 * place) & 3)
            bars.append((x, bar))
            x += bar + 1 + (digit >> place & 1)
    return _PAGE.render(
        number=number,
        service=shipment.get("service"),
        to=_lines(shipment["to"]),
        sender=_lines(shipment["from"]),
        bars=bars,
        width=x,
    )


def _lines(address: dict[str, Any]) -> list[str]:
    """As on an envelope; what is not given is left out."""
    last = " ".join(str(address[part]) for part in ("city", "state", "postal_code") if address.get(part))
    return [str(address[part]) for part in ("name", "street1", "street2") if address.get(part)] + [last]
