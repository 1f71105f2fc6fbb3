//! [`shrink_to`]: gives the room of a list back without asking for memory that could be refused.
//!
//! `Vec::shrink_to` may move the items, and ends the process if the program's allocator refuses the
//! smaller block. The heap's lists shrink in collections, where nobody could be told.

/// Shrinks a list to room for `room` items, or for as many as it has; leaves it as it is if the system
/// refuses the memory.
pub fn shrink_to<T>(list: &mut Vec<T>, room: usize) {
    let room = room.max(list.len());
    let mut smaller = Vec::new();
    if room < list.capacity() && smaller.try_reserve_exact(room).is_ok() {
        smaller.append(list);
        *list = smaller;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_items_and_loses_its_room() {
        let mut list = Vec::with_capacity(1000);
        list.extend([1, 2, 3]);
        shrink_to(&mut list, 6);
        assert!(list == [1, 2, 3] && (3..100).contains(&list.capacity()));
        shrink_to(&mut list, 0);
        assert_eq!(list, [1, 2, 3]);
        list.clear();
        shrink_to(&mut list, 0);
        assert_eq!(list.capacity(), 0);
    }
}
