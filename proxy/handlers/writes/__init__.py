"""Whatever writes documents: one, many in a bulk, a part of one; and where failed ones are kept."""
