//! In which order orders change, the same for the producer and for the floor.

/// How many orders later each state follows.
const LAG: [u64; 4] = [0, 20, 5_000, 20_000];

/// Orders by number, with their state: `states` of each of `orders`, from 1 to 4.
pub fn changes(orders: u64, states: usize) -> impl Iterator<Item = (u64, usize)> {
    let last = LAG[..states].last().copied().unwrap_or(0);
    (0..orders + last).flat_map(move |turn| {
        let of_state =
            move |state: usize| turn.checked_sub(LAG[state]).map(|number| (number, state));
        (0..states).filter_map(of_state).filter(move |(number, _)| *number < orders)
    })
}
