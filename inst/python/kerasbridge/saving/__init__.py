"""Formats, atomic writes, legacy readers, inspection."""
