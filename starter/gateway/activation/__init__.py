"""The pages behind an emailed activation link, `/activate/{link}`: a hard token by serial number and passcode, a soft token by
name and PIN, then the sync with Surescripts. Opening one uses nothing up; only what is posted changes anything."""
