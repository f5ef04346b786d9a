"""The paper's ablations in small: tables 2 to 5 and its claim, as resumable runs with seeds."""
