"""What every clock, source of ids and source of chance keeps."""

from datetime import timedelta

from application.core.kernel.ports import Clock, IdSource, Randomness


class ClockContract:
    def test_now_is_in_utc_and_never_runs_backwards(self, clock: Clock) -> None:
        first, second = clock.now(), clock.now()
        assert first.utcoffset() == timedelta(0)
        assert second >= first


class IdSourceContract:
    def test_ids_are_version_7_and_rise_in_the_order_they_are_made(self, ids: IdSource) -> None:
        made = [ids.new() for _ in range(2000)]
        assert {each.version for each in made} == {7}
        assert made == sorted(set(made))


class RandomnessContract:
    def test_digits_are_as_many_decimal_digits_as_asked_for(self, randomness: Randomness) -> None:
        drawn = randomness.digits(4000)
        assert len(drawn) == 4000
        assert set(drawn) == set("0123456789")

    def test_letters_come_from_the_alphabet_only_and_use_all_of_it(self, randomness: Randomness) -> None:
        assert set(randomness.letters(1000, "abc")) == set("abc")

    def test_two_draws_differ(self, randomness: Randomness) -> None:
        assert randomness.letters(40, "abcdefgh") != randomness.letters(40, "abcdefgh")
