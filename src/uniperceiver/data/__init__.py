"""Data: records, the formats they are read from, transforms, tokens, and loading. It knows no model."""
