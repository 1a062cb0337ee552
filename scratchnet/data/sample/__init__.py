"""10,000 real digits that come with the package; README.md says how they were made."""
