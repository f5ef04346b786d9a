"""The region proposal network: objects as semantic, box and mask representations (Sec. 4.1, App. A, Tab. 7)."""
