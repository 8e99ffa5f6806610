"""A whole installation under faults: nothing is lost, nothing runs twice, what is unknown is explained."""
