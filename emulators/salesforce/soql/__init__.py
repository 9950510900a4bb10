"""SOQL: text → tree (`parser`), tree → rows (`execute`). What it does not know it refuses."""
