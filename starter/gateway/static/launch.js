// Hands over without a click, as an EHR does. Without script the button does it.
document.querySelector("form[data-launch]")?.requestSubmit();
